"""The joint playbook: what is agreed, from when on, and what it does to journeys."""

import uuid
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projections.journey.lifecycle import due_times
from projections.memory import fold_events
from projections.playbook.events import ABOUT_PLAYBOOK, PlaybookEvent, playbook_event_of
from projections.playbook.model import load_playbook
from projections.playbook.proposals import agreed_rules, digest_of_text, objection, proposals_of, stray
from projections.playbook.rules import Rules
from schemas.decode import decode
from schemas.times import DAY
from tests.plans import EAGER, TEXT, agree, approve, proposal_id, propose, said
from tests.support import RULES

JAN1 = 1_767_225_600_000_000  #: 2026-01-01T00:00:00Z in microseconds
ON = "2026-01-{:02}T00:00:00+00:00"


def heard(*history: tuple[str, bytes]) -> list[Any]:
    return [
        playbook_event_of(event) for owner, value in history if (event := decode(value, owner)).type in ABOUT_PLAYBOOK
    ]


def rules(*history: tuple[str, bytes]) -> Rules:
    return agreed_rules(RULES, heard(*history))


def event(number: int, type_: str, day: int, owner: str = "marketing", **data: Any) -> tuple[str, bytes]:
    return owner, msgspec.json.encode(
        {
            "id": str(uuid.UUID(int=number)),
            "type": type_,
            "version": 2 if type_ == "opportunity_won" else 1,
            "source": "web",
            "occurred_at": ON.format(day),
            "identities": [{"type": "user_id", "value": "u1"}],
            "data": data,
        }
    )


def stages(*history: tuple[str, bytes]) -> list[tuple[str, int]]:
    """(stage, day) of the one journey."""
    workspace = fold_events([decode(value, owner) for owner, value in history], RULES)
    [journey] = workspace.journeys.values()
    assert journey.life is not None
    return [(workspace.rules.names[e.stage], (e.at - JAN1) // DAY + 1) for e in journey.life.history]


def test_one_department_alone_changes_nothing() -> None:
    alone = [propose(1, ON.format(2)), *(approve(n, 1, ON.format(n), "marketing") for n in (2, 3))]
    assert rules(*alone) is not None
    assert rules(*alone).terms == RULES.terms
    [proposal] = proposals_of(heard(*alone), RULES.playbook)
    assert [decision.void for decision in proposal.decisions] == [None, "marketing has approved it before"]
    both = rules(*alone, approve(9, 1, ON.format(9), "sales"))
    assert [terms.since for terms in both.terms[1:]] == [JAN1 + 8 * DAY]


def test_it_holds_from_its_effective_time_and_never_before_both_have_approved() -> None:
    early = agree(1, ON.format(2), effective_at=ON.format(20))
    assert [terms.since for terms in rules(*early).terms[1:]] == [JAN1 + 19 * DAY]
    late = [propose(1, ON.format(2), effective_at=ON.format(3)), approve(2, 1, ON.format(9), "sales")]
    late.append(approve(3, 1, ON.format(12), "marketing"))
    assert [terms.since for terms in rules(*late).terms[1:]] == [JAN1 + 11 * DAY]


def test_every_event_is_judged_by_the_playbook_in_force_at_its_time() -> None:
    history = [
        event(1, "identified", 1),
        event(2, "form_submitted", 5, form="f"),
        event(3, "form_submitted", 9, form="f"),
    ]
    assert stages(*history) == [("visitor", 1), ("known", 1), ("engaged", 5)]
    changed = [*history, *agree(1, ON.format(8))]
    assert stages(*changed)[-1] == ("marketing-qualified", 9)
    # an event that comes late is judged by the playbook of its own time
    assert stages(*changed, event(4, "form_submitted", 7, form="f")) == stages(*changed)


def test_a_lowered_threshold_is_met_by_the_next_event_that_scores() -> None:
    lower = TEXT.replace("score: 100}", "score: 20}")
    forms = [event(1, "form_submitted", 1, form="f"), event(2, "content_downloaded", 2, content="c")]  # 25 points
    lowered = [*forms, *agree(1, ON.format(5), lower)]
    assert stages(*lowered)[-1][0] == "engaged"
    assert stages(*lowered, event(3, "page_viewed", 6, url="/"))[-1] == ("marketing-qualified", 6)
    assert stages(*forms, event(3, "page_viewed", 6, url="/"))[-1][0] == "engaged"


def test_silence_is_judged_by_the_terms_of_the_moment_it_lasts_to() -> None:
    shorter = TEXT.replace("of: usage_reported, days: 60", "of: usage_reported, days: 10")
    history = [
        event(1, "opportunity_won", 1, "sales", amount=5, currency="EUR"),
        event(2, "usage_reported", 2, "sales"),
        *agree(1, ON.format(3), shorter, effective_at=ON.format(20)),
    ]
    workspace = fold_events([decode(value, owner) for owner, value in history], RULES)
    [journey] = workspace.journeys.values()
    assert journey.life is not None
    due = [
        (workspace.rules.names[stage], (at - JAN1) // DAY + 1) for at, stage in due_times(journey.life, workspace.rules)
    ]
    assert due[0] == ("at-risk", 20)  # by then it has been silent for longer than the new terms allow
    assert stages(*history, event(4, "usage_reported", 19, "sales")) == [("visitor", 1), ("known", 1), ("customer", 1)]


def test_new_stages_take_their_place_in_the_line_and_old_ones_keep_their_numbers() -> None:
    both = rules(*agree(1, ON.format(2)))
    assert both.names == (*RULES.names, "curious")
    line = [both.names[stage] for stage in both.terms[1].main_line]
    assert line[:3] == ["visitor", "curious", "known"]
    assert [both.names[stage] for stage in both.terms[0].main_line] == [
        RULES.names[s] for s in RULES.terms[0].main_line
    ]
    history = [event(n, "page_viewed", n, url="/") for n in range(1, 6)]
    assert stages(*history, *agree(1, ON.format(2)))[-1][0] in ("curious", "known")


def test_a_rejection_ends_a_proposal() -> None:
    no = said(
        5, "rejected", ON.format(4), {"proposal": proposal_id(1), "department": "sales", "by": "s", "reason": "no"}
    )
    late = [
        propose(1, ON.format(2)),
        approve(2, 1, ON.format(3), "marketing"),
        no,
        approve(6, 1, ON.format(5), "sales"),
    ]
    assert rules(*late).terms == RULES.terms
    [proposal] = proposals_of(heard(*late), RULES.playbook)
    assert proposal.rejected is not None
    assert proposal.decisions[-1].void == "the proposal was rejected"
    # after both have approved it, nobody can reject it any more
    in_time = [propose(1, ON.format(1)), *(approve(n, 1, ON.format(2), d) for n, d in ((2, "sales"), (3, "marketing")))]
    assert len(rules(*in_time, no).terms) == 2


@pytest.mark.parametrize(
    ("text", "more", "reason"),
    [
        ("name: [", {}, "not YAML"),
        (TEXT.replace("score:\n", "scores:\n"), {}, r"scores \(line \d+, column 1\): there is no such field"),
        (TEXT.replace("breaker: 200", "breaker: 100"), {}, "changes 'identity'"),
        (TEXT.replace("- name: visitor", "- name: guest").replace("[visitor,", "[guest,"), {}, "must stay 'visitor'"),
        (EAGER, {"effective_at": ON.format(1)}, "lies in the past"),
        (EAGER, {"effective_at": "tomorrow"}, "effective_at: write a time as"),
        (EAGER, {"department": None}, "names no department"),
        (EAGER, {"digest": "0" * 64}, "the digest is not that of the text"),
    ],
)
def test_a_proposal_that_cannot_be_is_kept_with_the_reason(text: str, more: dict[str, Any], reason: str) -> None:
    history = [
        propose(1, ON.format(2), text, **more) if "department" not in more else _anonymous(),
        approve(2, 1, ON.format(3), "sales", text),
        approve(3, 1, ON.format(3), "marketing", text),
    ]
    assert rules(*history).terms == RULES.terms
    [proposal] = proposals_of(heard(*history), RULES.playbook)
    assert proposal.void is not None
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(proposal.void)
    assert [decision.void for decision in proposal.decisions] == ["the proposal is void"] * 2


def _anonymous() -> tuple[str, bytes]:
    owner, value = propose(1, ON.format(2))
    found = msgspec.json.decode(value)
    del found["data"]["department"]
    return owner, msgspec.json.encode(found)


def test_a_word_about_no_proposal_is_kept() -> None:
    assert [one.proposal.hex() for one in stray(heard(approve(1, 7, ON.format(2), "sales")))] == [
        proposal_id(7).replace("-", "")
    ]
    assert rules(approve(1, 7, ON.format(2), "sales")).terms == RULES.terms


def test_an_approval_of_another_text_does_not_count() -> None:
    other = [
        propose(1, ON.format(2)),
        approve(2, 1, ON.format(3), "sales", TEXT),
        approve(3, 1, ON.format(3), "marketing"),
    ]
    [proposal] = proposals_of(heard(*other), load_playbook())
    assert proposal.agreed is None
    assert proposal.decisions[0].void == "it approves another text: the digests differ"


_POISON = [
    "score: " + "9" * 5_000,
    "a: &a [x, x]\nb: &b [*a, *a]\nname: [*b, *b]",
    "[" * 2_000,
    "name: 0001-01-01T00:00:00+99:99",
    "? {a: b}\n: c",
    "name: !!python/object:os.system x",
    "---\na: 1\n---\nb: 2",
    "",
    "\u0000",
    TEXT.replace("page_viewed: 1", "page_viewed: 99999999999999999999"),
    TEXT.replace("satisfaction_at_most: 4", "satisfaction_at_most: 40"),
]


@pytest.mark.parametrize("text", _POISON)
def test_no_text_stops_the_fold(text: str) -> None:
    """Whoever may write to the joint topic could stop every worker with one event."""
    event = PlaybookEvent(
        (JAN1, bytes(16), "plan"), "playbook_proposed", "sales", "x", bytes(16), digest_of_text(text), text, None, None
    )
    [proposal] = proposals_of([event], RULES.playbook)
    assert proposal.void is not None
    assert len(proposal.void) < 2_000


@settings(max_examples=300)
@given(st.data())
def test_no_damage_to_a_playbook_stops_the_fold(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(TEXT)))
    length = data.draw(st.integers(0, 40))
    text = TEXT[:start] + data.draw(st.text(max_size=20)) + TEXT[start + length :]
    event = PlaybookEvent(
        (JAN1, bytes(16), "plan"), "playbook_proposed", "sales", "x", bytes(16), digest_of_text(text), text, None, None
    )
    [proposal] = proposals_of([event], RULES.playbook)
    assert (proposal.void is None) == (proposal.playbook is not None)


_WORDS = st.lists(
    st.tuples(
        st.sampled_from(["approved", "rejected"]),
        st.sampled_from(["marketing", "sales"]),
        st.sampled_from([EAGER, TEXT]),
    ),
    min_size=1,
    max_size=5,
)


@given(_WORDS, st.sampled_from([{}, {"digest": "0" * 64}, {"effective_at": "2025-01-01T00:00:00Z"}]))
def test_what_the_api_would_refuse_is_what_the_fold_does_not_count(words: Any, more: dict[str, str]) -> None:
    """The one rule, asked at the time of each decision."""
    history = [propose(1, ON.format(1), **more)]
    for number, (what, department, text) in enumerate(words):
        [proposal] = proposals_of(heard(*history), RULES.playbook)
        at, about = ON.format(2 + number), {"proposal": proposal_id(1), "department": department, "by": "sam"}
        taken = (
            approve(10 + number, 1, at, department, text)
            if what == "approved"
            else said(10 + number, what, at, about | {"reason": "no"})
        )
        digest = digest_of_text(text) if what == "approved" else None
        reason = objection(proposal, f"playbook_{what}", department, digest)
        history.append(taken)
        [proposal] = proposals_of(heard(*history), RULES.playbook)
        assert proposal.decisions[-1].void == reason
