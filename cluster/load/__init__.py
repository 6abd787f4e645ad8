"""The load harness: simulated traffic, an audit of every message, and figures that one can repeat."""
