"""The values of a lifecycle: what stepping through a journey's moments has come to."""

from functools import cached_property

import msgspec

from projections.journey.handoffs import Handoff, Ignored


class Entry(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One stage entered. `id` and `source` name the event behind it; both are None where silence was the cause."""

    stage: int
    at: int
    id: bytes | None
    source: str | None


class Lifecycle(msgspec.Struct, array_like=True, dict=True):
    """Stage, score, value and hand-offs of a journey. Times are microseconds since 1970 UTC."""

    stage: int
    history: list[Entry]
    #: by stage: when its criterion was first met, even if the journey was further already
    reached: list[int | None]
    score: int = 0
    #: booked value in minor units by currency
    value: dict[str, int] = {}
    #: by event type with a rule about silence: time of the last event
    heard: dict[str, int] = {}
    #: whether there was a touchpoint; channel and campaign are the first one's
    touched: bool = False
    channel: str | None = None
    campaign: str | None = None
    #: in the order in which they were offered
    handoffs: list[Handoff] = []
    #: decisions about hand-offs that do not count, in order of time
    ignored: list[Ignored] = []
    #: the quantity reported last
    usage: int | None = None

    @cached_property
    def open_handoffs(self) -> dict[str, int]:
        """By kind: the place of its open hand-off, of which there is at most one.

        Not stored: whoever changes a hand-off updates it.
        """
        return {one.kind: n for n, one in enumerate(self.handoffs) if one.open}


def copy_of(life: Lifecycle, stages: int = 0) -> Lifecycle:
    """A copy that may be changed, with room for this many stages."""
    reached = life.reached + [None] * (stages - len(life.reached))
    return msgspec.structs.replace(
        life, history=list(life.history), reached=reached, handoffs=list(life.handoffs), ignored=list(life.ignored)
    )
