"""What an admin changes while raydesk runs: the kinds of it, what is allowed, and how a change is taken back."""
