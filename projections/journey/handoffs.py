"""Hand-offs: what one department gives the other with a promise, folded from a journey's moments and stages.

Pure. A hand-off's deadlines are absolute times once it is offered; whether they were met by a time is a question of
facts. docs/decisions/handoffs.md has the rules in words.
"""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from projections.journey.moments import Moment
from projections.playbook.handoffs import ACCEPT, OFFER, REJECT, RESOLVE, TOUCH, WITHDRAW, HandoffTerms, Kind, Tier
from projections.text import id_text

if TYPE_CHECKING:
    from projections.journey.lifecycle import Entry, Lifecycle

_NAMESPACE = uuid.UUID("6b0b0f3e-3d0c-5c1e-9f6a-7a4d9c2e8b10")

OFFERED, ACCEPTED, REJECTED, WITHDRAWN, EXPIRED, RESOLVED, SUPERSEDED = range(7)
#: By number, as they are stored.
STATES = ("offered", "accepted", "rejected", "withdrawn", "expired", "resolved", "superseded")
_OPEN = frozenset({OFFERED, ACCEPTED})

#: Joint decisions: what they are for the hand-off that they name.
_DECISIONS = {"handoff_accepted": ACCEPT, "handoff_rejected": REJECT, "handoff_withdrawn": WITHDRAW}
_NO_SUCH = "there is no such hand-off"


class Handoff(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One offer of a kind. Times are microseconds since 1970 UTC; a new value takes the place of a changed one."""

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
    since: int = 0  #: when it came into that state
    #: first touch: when somebody of the receiving side first did something about it
    touched_at: int | None = None
    owner: str | None = None
    note: str | None = None  #: a rejection's or withdrawal's reason
    successor: bytes | None = None  #: of a superseded one: the one that survives
    rival: str | None = None  #: somebody else who has accepted it, too: the two should talk

    @property
    def open(self) -> bool:
        """Whether somebody still has to do something."""
        return self.state in _OPEN


class Decision(NamedTuple):
    """What somebody decides about a hand-off."""

    handoff: str  #: its id as text
    type: str  #: of the joint event: handoff_accepted, handoff_rejected, handoff_withdrawn
    department: str | None
    by: str | None


class Ignored(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A decision that does not count, and why."""

    at: int
    id: bytes
    source: str
    type: str
    handoff: str | None  #: as the event names it
    by: str | None
    reason: str


class Happening(NamedTuple):
    """Something that happens to a hand-off: what subscribers are told."""

    at: int
    what: str
    by_time: bool  #: the clock brings it about, not an event


def take(life: "Lifecycle", moment: Moment, entries: Iterable["Entry"], terms: HandoffTerms) -> None:
    """Take what a moment, and the stages that it led to, mean for hand-offs."""
    for role, kind in terms.by_event.get(moment.type, ()):
        if role != OFFER:
            _by_system(life, moment, role, kind)
    if moment.about is not None:
        _by_people(life, moment, terms)
    for entry in entries:
        enter(life, entry, terms)
    for role, kind in terms.by_event.get(moment.type, ()):
        if role == OFFER:
            _offer(life, kind, moment.at, moment.id, moment.source)


def enter(life: "Lifecycle", entry: "Entry", terms: HandoffTerms) -> None:
    """Take what entering a stage means for hand-offs."""
    for kind in terms.resolved_by_stage.get(entry.stage, ()):
        n = life.open_handoffs.get(kind.name)
        if n is not None:
            _close(life, n, RESOLVED, entry.at)
    for kind in terms.offered_by_stage.get(entry.stage, ()):
        _offer(life, kind, entry.at, entry.id, entry.source)


def next_expiry(life: "Lifecycle") -> tuple[int, int] | None:
    """(time, place) of the offer that expires first, if nothing else happens."""
    first = None
    for n in life.open_handoffs.values():
        one = life.handoffs[n]
        if one.state == OFFERED and one.expires_at is not None and (first is None or (one.expires_at, n) < first):
            first = (one.expires_at, n)
    return first


def expire(life: "Lifecycle", place: int, at: int) -> None:
    """Let an offer expire."""
    _close(life, place, EXPIRED, at)


def _offer(life: "Lifecycle", kind: Kind, at: int, event: bytes | None, source: str | None) -> None:
    """Offer a hand-off; while one of the kind is open, it is superseded by that one (identity case 17)."""
    handoff_id = _id_of(life, kind, at, event, source)
    if _is_offered(life.handoffs, handoff_id, at):
        return  # the stage and the event that led to it both offer
    tier = next((one for one in kind.tiers if _fits(life, one)), None)
    made = Handoff(
        handoff_id,
        kind.name,
        kind.from_,
        kind.to,
        kind.team,
        None if tier is None else tier.name,
        at,
        event,
        source,
        None if tier is None else kind.due(at, tier.remind),
        None if tier is None else kind.due(at, tier.first_touch),
        None if tier is None else kind.due(at, tier.resolution),
        None if tier is None else kind.due(at, tier.expires),
        since=at,
    )
    n = life.open_handoffs.get(kind.name)
    if n is not None:
        made = msgspec.structs.replace(made, state=SUPERSEDED, successor=life.handoffs[n].id)
    life.handoffs.append(made)
    _put(life, len(life.handoffs) - 1, made)


def _is_offered(handoffs: Sequence[Handoff], handoff_id: bytes, at: int) -> bool:
    """Whether the moment, or the silence, that offers has offered it already: then it is among the last ones."""
    return any(one.id == handoff_id for one in takewhile(lambda one: one.offered_at == at, reversed(handoffs)))


def handoff_id(kind: str, source: str | None, event: bytes, when: int | None = None) -> bytes:
    """The id of the hand-off that an event offered; `when`: that silence after the event led to, and when."""
    return uuid.uuid5(_NAMESPACE, f"{kind}\n{source}\n{event.hex()}\n{'' if when is None else when}").bytes


def _id_of(life: "Lifecycle", kind: Kind, at: int, event: bytes | None, source: str | None) -> bytes:
    """The same for the same cause, whatever the journey is called."""
    if event is not None:
        return handoff_id(kind.name, source, event)
    led = next(entry for entry in reversed(life.history) if entry.id is not None)
    assert led.id is not None, "it was looked for"
    return handoff_id(kind.name, led.source, led.id, at)


def _fits(life: "Lifecycle", tier: Tier) -> bool:
    if tier.score is not None and life.score < tier.score:
        return False
    return not tier.was or any(life.reached[stage] is not None for stage in tier.was)


def _by_system(life: "Lifecycle", moment: Moment, role: int, kind: Kind) -> None:
    """What a department's own event says about the open hand-off of a kind; nothing where there is none."""
    n = life.open_handoffs.get(kind.name)
    if n is None:
        return
    one = life.handoffs[n]
    if role == TOUCH:
        _touch(life, n, moment.at)
    elif role == ACCEPT and one.state == ACCEPTED:
        _meet_again(life, n, moment)
    else:
        _decide(life, n, role, moment)


def _by_people(life: "Lifecycle", moment: Moment, terms: HandoffTerms) -> None:
    """A joint event: an offer of a kind, or a decision about the hand-off that it names."""
    about = moment.about or ""
    if moment.type == "handoff_offered":
        kind = terms.kinds.get(about)
        reason = _objection_to_offer(kind, moment)
        if kind is not None and reason is None:
            _offer(life, kind, moment.at, moment.id, moment.source)
        else:
            _ignore(life, moment, reason or "the playbook knows no such kind of hand-off")
        return
    role = _DECISIONS.get(moment.type)
    if role is None:
        return
    decision = Decision(about, moment.type, moment.department, moment.by)
    reason, n = objection(life.handoffs, decision, terms), _place(life.handoffs, about)
    if reason is not None or n is None:
        _ignore(life, moment, reason or _NO_SUCH)
        current = None if n is None else life.open_handoffs.get(life.handoffs[n].kind)
        if role == ACCEPT and current is not None:
            _meet_again(life, current, moment)
    elif life.handoffs[n].state == SUPERSEDED:
        _take_over(life, n, moment)
    else:
        _decide(life, n, role, moment)


def _objection_to_offer(kind: Kind | None, moment: Moment) -> str | None:
    if kind is not None and moment.department is not None and moment.department != kind.from_:
        return f"it is {kind.from_}'s to offer"
    return None


def objection(handoffs: Sequence[Handoff], decision: Decision, terms: HandoffTerms | None) -> str | None:
    """Why a decision does not count; None where it does. Whoever publishes decisions asks the same as the fold.

    `handoffs`: all of the journey, as they are at the time of the decision; `terms`: those that hold then.
    """
    n = _place(handoffs, decision.handoff)
    if n is None:
        return _NO_SUCH
    if terms is None:
        return "the playbook in force knows no hand-offs"
    one, role, kind = handoffs[n], _DECISIONS[decision.type], terms.kinds.get(handoffs[n].kind)
    side = one.from_ if role == WITHDRAW else one.to
    wrong_team = role != WITHDRAW and kind is not None and bool(kind.members) and decision.by not in kind.members
    objections = (
        (decision.department is not None and decision.department != side, f"it is {side}'s to decide"),
        (wrong_team, f"{decision.by} is not of the team {one.team}"),
        (one.state == EXPIRED, "it has expired"),
        (role == ACCEPT and one.state == SUPERSEDED and _is_taken(handoffs, one), "another one took its place"),
        (role != ACCEPT and one.state == SUPERSEDED, "another one took its place"),
        (one.state in (REJECTED, WITHDRAWN, RESOLVED), f"it was {STATES[one.state]} before"),
        (one.state == ACCEPTED and role != WITHDRAW, "it was accepted before"),
    )
    return next((reason for holds, reason in objections if holds), None)


def _place(handoffs: Sequence[Handoff], named: str) -> int | None:
    """The place of the hand-off that is named by its id as text."""
    return next((n for n, one in enumerate(handoffs) if id_text(one.id) == named), None)


def _is_taken(handoffs: Sequence[Handoff], superseded: Handoff) -> bool:
    """Whether the one that took its place is accepted, or open no more."""
    return all(one.state != OFFERED for one in handoffs if one.id == superseded.successor)


def _take_over(life: "Lifecycle", n: int, moment: Moment) -> None:
    """A superseded hand-off is accepted first: it survives, and its clocks are those of the earlier offer."""
    one = life.handoffs[n]
    first = next(place for place, other in enumerate(life.handoffs) if other.id == one.successor)
    earlier = life.handoffs[first]
    again = msgspec.structs.replace(
        one,
        state=OFFERED,
        successor=None,
        tier=earlier.tier,
        offered_at=min(one.offered_at, earlier.offered_at),
        remind_at=earlier.remind_at,
        touch_due=earlier.touch_due,
        resolution_due=earlier.resolution_due,
        expires_at=earlier.expires_at,
        touched_at=earlier.touched_at,
    )
    _put(life, first, msgspec.structs.replace(earlier, state=SUPERSEDED, since=moment.at, successor=one.id))
    _put(life, n, again)
    _decide(life, n, ACCEPT, moment)


def _decide(life: "Lifecycle", n: int, role: int, moment: Moment) -> None:
    one = life.handoffs[n]
    if role == ACCEPT:
        if one.state == OFFERED:
            _touch(life, n, moment.at)
            one = life.handoffs[n]
            _put(life, n, msgspec.structs.replace(one, state=ACCEPTED, since=moment.at, owner=moment.by))
    elif role == REJECT:
        _touch(life, n, moment.at)
        _close(life, n, REJECTED, moment.at, moment.note)
    elif role == WITHDRAW:
        _close(life, n, WITHDRAWN, moment.at, moment.note)
    elif role == RESOLVE:
        _touch(life, n, moment.at)
        _close(life, n, RESOLVED, moment.at)


def _meet_again(life: "Lifecycle", n: int, moment: Moment) -> None:
    """Somebody accepts what is accepted: if it is somebody else, both should know."""
    one = life.handoffs[n]
    if moment.by is not None and one.owner is not None and moment.by != one.owner and one.rival is None:
        _put(life, n, msgspec.structs.replace(one, rival=moment.by))


def _touch(life: "Lifecycle", n: int, at: int) -> None:
    if life.handoffs[n].touched_at is None:
        _put(life, n, msgspec.structs.replace(life.handoffs[n], touched_at=at))


def _close(life: "Lifecycle", n: int, state: int, at: int, note: str | None = None) -> None:
    _put(life, n, msgspec.structs.replace(life.handoffs[n], state=state, since=at, note=note))


def _put(life: "Lifecycle", n: int, one: Handoff) -> None:
    """Put a hand-off in its place, and note whether it is open."""
    life.handoffs[n] = one
    if one.open:
        life.open_handoffs[one.kind] = n
    elif life.open_handoffs.get(one.kind) == n:
        del life.open_handoffs[one.kind]


def _ignore(life: "Lifecycle", moment: Moment, reason: str) -> None:
    life.ignored.append(Ignored(moment.at, moment.id, moment.source, moment.type, moment.about, moment.by, reason))


def happenings(handoff: Handoff) -> list[Happening]:
    """All that happens to a hand-off if nothing else does, in order of time."""
    found = [Happening(handoff.offered_at, "offered", by_time=handoff.event is None)]
    if handoff.state == SUPERSEDED:
        return [*found, Happening(handoff.since, "superseded", by_time=handoff.event is None)]
    found += _alarms(handoff)
    if handoff.touched_at is not None:
        found.append(Happening(handoff.touched_at, "touched", by_time=False))
    if handoff.rival is not None:
        found.append(Happening(handoff.since, "owner-conflict", by_time=False))
    if handoff.state != OFFERED:
        found.append(Happening(handoff.since, STATES[handoff.state], by_time=handoff.state == EXPIRED))
    return sorted(found)


def _alarms(handoff: Handoff) -> Iterator[Happening]:
    """Reminder and breaches: a deadline counts unless what it waits for, or the end, came by then."""
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
    """The state by a time; None before the offer. Only the clock's own doing is undone: events are facts."""
    if at < handoff.offered_at and handoff.event is None:
        return None
    return OFFERED if handoff.state == EXPIRED and at < handoff.since else handoff.state


def breaches_at(handoff: Handoff, at: int) -> list[str]:
    """The deadlines that were missed by a time: `first-touch`, `resolution`."""
    names = {"touch-breached": "first-touch", "resolution-breached": "resolution"}
    return [names[one.what] for one in _alarms(handoff) if one.what in names and one.at <= at]


NEVER = 2**62  #: after all times


def open_until(handoff: Handoff) -> int | None:
    """When time alone ends a hand-off, if nothing else happens: NEVER where it does not; None where it has ended."""
    if handoff.state == EXPIRED:
        return handoff.since
    return NEVER if handoff.open else None


def next_due(handoff: Handoff) -> int | None:
    """The deadline that a hand-off is waiting for while it is open: first touch, then resolution; missed ones stay."""
    if not handoff.open and handoff.state != EXPIRED:
        return None
    return handoff.touch_due if handoff.touched_at is None and handoff.touch_due is not None else handoff.resolution_due
