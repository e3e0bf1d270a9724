"""The root of every error that Tandem raises on purpose."""


class TandemError(Exception):
    """A named fault whose message says, in one line, what happened and what to do about it."""
