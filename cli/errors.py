"""Mistakes at the command line, answered with one line."""

from schemas.errors import TandemError


class UserError(TandemError):
    """What was asked for cannot be done as things are; the message says what to do."""


class NoStack(UserError):
    """A command needs a running stack, and there is none."""
