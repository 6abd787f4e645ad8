"""The bot: what it finds in a text, what it says, and when it lets a human speak."""
