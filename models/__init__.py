"""What things are, what is decided and what is learned: plain synchronous Python, no socket, no clock, no Ray."""
