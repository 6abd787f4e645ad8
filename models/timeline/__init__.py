"""One shard's conversations: numbering, duplicates, assignment, and what must be written."""
