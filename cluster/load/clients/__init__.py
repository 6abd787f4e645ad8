"""One generator: the clients of its process, in one event loop, and what they write down."""
