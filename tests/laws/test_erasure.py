"""Law 2 with erasures: whenever an erasure comes, what is left is the fold of the events that are not erased."""

from dataclasses import replace

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from projections.fold import subject_of
from projections.identity.erasure import ERASURE, Erased, Erasure, erasure_of, keyed_hash, name_of_secret
from projections.identity.register import RELEASE, Register
from projections.identity.workspace import Workspace
from projections.memory import MemoryFold, fold_events
from projections.playbook.rules import Rules
from schemas.decode import decode
from schemas.event import Event
from tests.laws.histories import decoded, hostile_histories
from tests.laws.test_convergence import RULES, STRICT, fold_with_restarts, states

SECRET = bytes(range(32))


def erasure_event(number: int, at: str, subjects: list[str], shared: list[str], events: list[Event]) -> Event:
    """A valid event that erases."""
    data = {
        "secret": name_of_secret(SECRET),
        "subjects": subjects,
        "shared": shared,
        "events": [f"{event.id.hex()} {event.source}" for event in events],
    }
    body = {
        "id": f"00000000-0000-0000-0001-{number:012}",
        "type": ERASURE,
        "version": 2,
        "source": "tandem-erase",
        "occurred_at": at,
        "identities": [],
        "data": data,
    }
    return decode(msgspec.json.encode(body), "joint")


@settings(max_examples=2_000)
@given(hostile_histories(), st.sampled_from([RULES, STRICT]), st.data())
def test_an_erasure_at_any_time_leaves_the_fold_of_what_is_not_erased(
    history: list[tuple[str, bytes]], rules: Rules, data: st.DataObject
) -> None:
    rules = replace(rules)
    events = decoded(history)
    once = fold_events(events, rules)
    times = sorted({one.at for journey in once.journeys.values() for one in journey.identifiers.values()})
    bases = sorted({person.key for event in events if (s := subject_of(event, rules)) for person in s.persons})
    chosen = data.draw(st.lists(st.sampled_from(bases), max_size=3, unique=True)) if bases else []
    since = [data.draw(st.sampled_from([None, *times])) for _ in chosen]
    named = [
        keyed_hash(SECRET, key) + ("" if start is None else f"@{start}")
        for key, start in zip(chosen, since, strict=True)
    ]
    loose = data.draw(st.lists(st.sampled_from(events), max_size=2)) if events else []
    at = data.draw(st.sampled_from(["2026-01-02T00:00:00Z", "2026-01-05T00:00:00Z", "2027-01-01T00:00:00Z"]))
    shared = data.draw(st.sampled_from([[], [keyed_hash(SECRET, key) for key in bases]]))
    erasure = erasure_event(1, at, named, shared, loose)
    shuffled = data.draw(st.permutations([*events, erasure]))
    restarts = data.draw(st.lists(st.booleans(), min_size=len(shuffled), max_size=len(shuffled)))
    settle_each = data.draw(st.booleans())
    erased = Erased(SECRET)
    erased.add(erasure_of(erasure))
    left = [event for event in events if event.type == RELEASE or not _takes(erased, event, rules)]

    register = Register(SECRET)
    register.erased.add(Erasure(erasure_of(erasure).order, "", (), erasure_of(erasure).shared, (), None, None))
    fold = MemoryFold(Workspace(rules, register))
    for event in left:
        fold.add(event)
    fold.workspace.harvest()

    again = fold_with_restarts(shuffled, restarts, settle_each, rules, Register(SECRET))
    assert states(again) == states(fold.workspace)
    assert again.home == fold.workspace.home
    assert again.register.quarantined == fold.workspace.register.quarantined
    assert {ruling.order for ruling in again.register.rulings} == {
        ruling.order for ruling in fold.workspace.register.rulings
    }


def _takes(erased: Erased, event: Event, rules: Rules) -> bool:
    subject = subject_of(event, rules)
    return erased.covers((event.id, event.source), event.occurred_at, subject.persons if subject else ())
