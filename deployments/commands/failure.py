"""What a command says when it cannot do its work: one or two plain lines, never a traceback."""


class CommandError(Exception):
    """The command ends; the text says what is wrong, where, and what to do."""
