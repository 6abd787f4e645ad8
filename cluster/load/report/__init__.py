"""What a run leaves for its readers: figures for programs, and one page for people."""
