"""Hand-offs: what one department gives the other with a promise.

Once a hand-off is offered, its deadlines are absolute times: whether they were met by some time follows from facts.
docs/decisions/handoffs.md explains the rules.
"""

import uuid
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from schemas.times import NEVER

_NAMESPACE = uuid.UUID("6b0b0f3e-3d0c-5c1e-9f6a-7a4d9c2e8b10")

OFFERED, ACCEPTED, REJECTED, WITHDRAWN, EXPIRED, RESOLVED, SUPERSEDED = range(7)
#: By number, as they are stored.
STATES = ("offered", "accepted", "rejected", "withdrawn", "expired", "resolved", "superseded")
_OPEN = frozenset({OFFERED, ACCEPTED})


class Handoff(msgspec.Struct, array_like=True, frozen=True, gc=False, kw_only=True):
    """One offer of a kind. Times are microseconds since 1970 UTC. A changed hand-off is a new value."""

    id: bytes
    kind: str
    from_: str
    to: str
    team: str
    tier: str | None  #: None: nothing is promised
    offered_at: int
    #: the event that offered it; None where silence did
    event: bytes | None
    source: str | None
    remind_at: int | None
    touch_due: int | None
    resolution_due: int | None
    expires_at: int | None
    state: int = OFFERED
    since: int = 0  #: when it entered that state
    #: first touch: when somebody on the receiving side first acted on it
    touched_at: int | None = None
    owner: str | None = None
    note: str | None = None  #: a rejection's or withdrawal's reason
    successor: bytes | None = None  #: of a superseded hand-off: the one that took its place
    rival: str | None = None  #: somebody else who also accepted it: the two should talk

    @property
    def open(self) -> bool:
        """Whether somebody still has to act."""
        return self.state in _OPEN


class Ignored(msgspec.Struct, array_like=True, frozen=True, gc=False, kw_only=True):
    """A decision that does not count, and why."""

    at: int
    id: bytes
    source: str
    type: str
    handoff: str | None  #: as the event names it
    by: str | None
    reason: str


class Happening(NamedTuple):
    """Something that happens to a hand-off, as subscribers are told."""

    at: int
    what: str
    by_time: bool  #: whether the clock is the cause, not an event


def handoff_id(kind: str, source: str | None, event: bytes, when: int | None = None) -> bytes:
    """The id of the hand-off that an event offered. `when`: time of the offer where silence after the event made it."""
    return uuid.uuid5(_NAMESPACE, f"{kind}\n{source}\n{event.hex()}\n{'' if when is None else when}").bytes


def happenings(handoff: Handoff) -> list[Happening]:
    """All that happens to a hand-off if nothing else changes it, in order of time."""
    events = [Happening(handoff.offered_at, "offered", by_time=handoff.event is None)]
    if handoff.state == SUPERSEDED:
        return [*events, Happening(handoff.since, "superseded", by_time=handoff.event is None)]
    events += _alarms(handoff)
    if handoff.touched_at is not None:
        events.append(Happening(handoff.touched_at, "touched", by_time=False))
    if handoff.rival is not None:
        events.append(Happening(handoff.since, "owner-conflict", by_time=False))
    if handoff.state != OFFERED:
        events.append(Happening(handoff.since, STATES[handoff.state], by_time=handoff.state == EXPIRED))
    return sorted(events)


def _alarms(handoff: Handoff) -> Iterator[Happening]:
    """The reminder and the breaches: a deadline is missed unless what it waits for, or the end, came in time."""
    ended = None if handoff.open else handoff.since
    for what, due, done in (
        ("reminded", handoff.remind_at, handoff.touched_at),
        ("touch-breached", handoff.touch_due, handoff.touched_at),
        ("resolution-breached", handoff.resolution_due, None),
    ):
        met = min((at for at in (done, ended) if at is not None), default=None)
        if due is not None and (met is None or met > due):
            yield Happening(due, what, by_time=True)


def state_at(handoff: Handoff, at: int) -> int | None:
    """The state as of a time; None before the offer. Only what the clock does is undone: events are facts."""
    if at < handoff.offered_at and handoff.event is None:
        return None
    return OFFERED if handoff.state == EXPIRED and at < handoff.since else handoff.state


def breaches_at(handoff: Handoff, at: int) -> list[str]:
    """The deadlines missed by a time: `first-touch`, `resolution`."""
    names = {"touch-breached": "first-touch", "resolution-breached": "resolution"}
    return [names[one.what] for one in _alarms(handoff) if one.what in names and one.at <= at]


def open_until(handoff: Handoff) -> int | None:
    """When time alone ends a hand-off; NEVER where it does not; None where the hand-off has ended."""
    if handoff.state == EXPIRED:
        return handoff.since
    return NEVER if handoff.open else None


def next_due(handoff: Handoff) -> int | None:
    """The deadline that an open hand-off waits for: first touch, then resolution. A missed one stays due."""
    if not handoff.open and handoff.state != EXPIRED:
        return None
    return handoff.touch_due if handoff.touched_at is None and handoff.touch_due is not None else handoff.resolution_due
