"""The rules of a desk: events applied to a state equal a fresh snapshot."""
