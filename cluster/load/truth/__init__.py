"""What was seen of each message, what that proves, and what was measured; plain data, no socket."""
