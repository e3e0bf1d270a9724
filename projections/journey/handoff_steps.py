"""How events, stages and time change a journey's hand-offs, and why a decision about one does not count.

The reasons are stored with the journey: another wording would change digests.
"""

from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import NamedTuple

from msgspec.structs import replace

from projections.journey.handoffs import (
    ACCEPTED,
    EXPIRED,
    OFFERED,
    REJECTED,
    RESOLVED,
    STATES,
    SUPERSEDED,
    WITHDRAWN,
    Handoff,
    Ignored,
    handoff_id,
)
from projections.journey.life import Entry, Lifecycle
from projections.journey.moments import Moment
from projections.playbook.handoff_terms import ACCEPT, OFFER, REJECT, RESOLVE, TOUCH, WITHDRAW, HandoffTerms, Kind, Tier
from projections.text import id_text

#: Joint decisions: what they are for the hand-off that they name.
_DECISIONS = {"handoff_accepted": ACCEPT, "handoff_rejected": REJECT, "handoff_withdrawn": WITHDRAW}
_NO_SUCH = "there is no such hand-off"


class Decision(NamedTuple):
    """What somebody decides about a hand-off."""

    handoff: str  #: its id as text
    type: str  #: of the joint event: handoff_accepted, handoff_rejected, handoff_withdrawn
    department: str | None
    by: str | None


def take(life: Lifecycle, moment: Moment, entries: Iterable[Entry], terms: HandoffTerms) -> None:
    """Apply a moment, and the stages that it led to."""
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


def enter(life: Lifecycle, entry: Entry, terms: HandoffTerms) -> None:
    """Apply the entry into a stage."""
    for kind in terms.resolved_by_stage.get(entry.stage, ()):
        n = life.open_handoffs.get(kind.name)
        if n is not None:
            _close(life, n, RESOLVED, entry.at)
    for kind in terms.offered_by_stage.get(entry.stage, ()):
        _offer(life, kind, entry.at, entry.id, entry.source)


def next_expiry(life: Lifecycle) -> tuple[int, int] | None:
    """(time, place) of the offer that expires first; None where none does."""
    first = None
    for n in life.open_handoffs.values():
        one = life.handoffs[n]
        if one.state == OFFERED and one.expires_at is not None and (first is None or (one.expires_at, n) < first):
            first = (one.expires_at, n)
    return first


def expire(life: Lifecycle, place: int, at: int) -> None:
    """Let an offer expire."""
    _close(life, place, EXPIRED, at)


def _offer(life: Lifecycle, kind: Kind, at: int, event: bytes | None, source: str | None) -> None:
    """Offer a hand-off; an open one of the kind supersedes it: case 17 of docs/explanation/identity.md."""
    own_id = _id_of(life, kind, at, event, source)
    if _is_offered(life.handoffs, own_id, at):
        return  # a stage, and the event that led to it, both offer
    tier = next((one for one in kind.tiers if _fits(life, one)), None)
    made = Handoff(
        id=own_id,
        kind=kind.name,
        from_=kind.from_,
        to=kind.to,
        team=kind.team,
        tier=None if tier is None else tier.name,
        offered_at=at,
        event=event,
        source=source,
        remind_at=None if tier is None else kind.due(at, tier.remind),
        touch_due=None if tier is None else kind.due(at, tier.first_touch),
        resolution_due=None if tier is None else kind.due(at, tier.resolution),
        expires_at=None if tier is None else kind.due(at, tier.expires),
        since=at,
    )
    n = life.open_handoffs.get(kind.name)
    if n is not None:
        made = replace(made, state=SUPERSEDED, successor=life.handoffs[n].id)
    life.handoffs.append(made)
    _put(life, len(life.handoffs) - 1, made)


def _is_offered(handoffs: Sequence[Handoff], own_id: bytes, at: int) -> bool:
    """Whether the same moment, or the same silence, has offered it already: then it is among the last."""
    return any(one.id == own_id for one in takewhile(lambda one: one.offered_at == at, reversed(handoffs)))


def _id_of(life: Lifecycle, kind: Kind, at: int, event: bytes | None, source: str | None) -> bytes:
    """The same cause gives the same id, whatever the journey's id is."""
    if event is not None:
        return handoff_id(kind.name, source, event)
    led = next(entry for entry in reversed(life.history) if entry.id is not None)
    assert led.id is not None, "an event led to the first stage"
    return handoff_id(kind.name, led.source, led.id, at)


def _fits(life: Lifecycle, tier: Tier) -> bool:
    if tier.score is not None and life.score < tier.score:
        return False
    return not tier.was or any(life.reached[stage] is not None for stage in tier.was)


def _by_system(life: Lifecycle, moment: Moment, role: int, kind: Kind) -> None:
    """Apply a department's own event to the open hand-off of a kind, if there is one."""
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


def _by_people(life: Lifecycle, moment: Moment, terms: HandoffTerms) -> None:
    """Apply a joint event: an offer of a kind, or a decision about the hand-off that it names."""
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
    reason, n = objection(life.handoffs, decision, terms), _place_of(life.handoffs, about)
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
    """Why a decision does not count; None where it does.

    `handoffs`: all of the journey, as they are at the time of the decision; `terms`: those in force then.
    """
    n = _place_of(handoffs, decision.handoff)
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


def _place_of(handoffs: Sequence[Handoff], id_: str) -> int | None:
    """The place of the hand-off with an id as text."""
    return next((n for n, one in enumerate(handoffs) if id_text(one.id) == id_), None)


def _is_taken(handoffs: Sequence[Handoff], superseded: Handoff) -> bool:
    """Whether the hand-off that took its place is accepted or closed."""
    return all(one.state != OFFERED for one in handoffs if one.id == superseded.successor)


def _take_over(life: Lifecycle, n: int, moment: Moment) -> None:
    """A superseded hand-off is accepted first: it takes its place back, with the deadlines of the earlier offer."""
    one = life.handoffs[n]
    first = next(place for place, other in enumerate(life.handoffs) if other.id == one.successor)
    earlier = life.handoffs[first]
    again = replace(
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
    _put(life, first, replace(earlier, state=SUPERSEDED, since=moment.at, successor=one.id))
    _put(life, n, again)
    _decide(life, n, ACCEPT, moment)


def _decide(life: Lifecycle, n: int, role: int, moment: Moment) -> None:
    one = life.handoffs[n]
    if role == ACCEPT:
        if one.state == OFFERED:
            _touch(life, n, moment.at)
            one = life.handoffs[n]
            _put(life, n, replace(one, state=ACCEPTED, since=moment.at, owner=moment.by))
    elif role == REJECT:
        _touch(life, n, moment.at)
        _close(life, n, REJECTED, moment.at, moment.note)
    elif role == WITHDRAW:
        _close(life, n, WITHDRAWN, moment.at, moment.note)
    elif role == RESOLVE:
        _touch(life, n, moment.at)
        _close(life, n, RESOLVED, moment.at)


def _meet_again(life: Lifecycle, n: int, moment: Moment) -> None:
    """Somebody accepts an accepted hand-off. If it is somebody else, both should know."""
    one = life.handoffs[n]
    if moment.by is not None and one.owner is not None and moment.by != one.owner and one.rival is None:
        _put(life, n, replace(one, rival=moment.by))


def _touch(life: Lifecycle, n: int, at: int) -> None:
    if life.handoffs[n].touched_at is None:
        _put(life, n, replace(life.handoffs[n], touched_at=at))


def _close(life: Lifecycle, n: int, state: int, at: int, note: str | None = None) -> None:
    _put(life, n, replace(life.handoffs[n], state=state, since=at, note=note))


def _put(life: Lifecycle, n: int, one: Handoff) -> None:
    """Store a hand-off at its place, and note whether it is open."""
    life.handoffs[n] = one
    if one.open:
        life.open_handoffs[one.kind] = n
    elif life.open_handoffs.get(one.kind) == n:
        del life.open_handoffs[one.kind]


def _ignore(life: Lifecycle, moment: Moment, reason: str) -> None:
    life.ignored.append(
        Ignored(
            at=moment.at,
            id=moment.id,
            source=moment.source,
            type=moment.type,
            handoff=moment.about,
            by=moment.by,
            reason=reason,
        )
    )
