"""Mistakes at the command line, answered with one line."""

from schemas.errors import TandemError


class UserError(TandemError):
    """What was asked for cannot be done as things are. Do what the message says."""


class NoStack(UserError):
    """The command needs a running stack, and there is none.

    Start one with `tandem up --detach`, or name your servers.
    """
