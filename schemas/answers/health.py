"""Whether the process lives, and whether it can work."""

from typing import Literal

from schemas.answers.parts import Answer


class Alive(Answer, frozen=True, kw_only=True):
    """The process lives."""

    status: Literal["ok"] = "ok"


class Ready(Answer, frozen=True, kw_only=True):
    """Queries can be answered."""

    status: Literal["ready"] = "ready"
