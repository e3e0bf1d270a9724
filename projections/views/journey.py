"""The read model: one stored journey as people and programs read it, at a time T."""

from typing import Any, Literal

from projections.journey.journey import Fact, Journey, Link
from projections.journey.lifecycle import Entry, Lifecycle, advance, copy_of
from projections.journey.membership import Membership, memberships
from projections.journey.moments import Moment
from projections.journey.row import audiences_at
from projections.journey.traits import consent_of, facts_by_name, last_said, winner
from projections.milestones import MILESTONES
from projections.playbook.model import Rules
from projections.text import id_text
from projections.text import time_text as time_text  # noqa: PLC0414 (many ask for it here)
from projections.views.handoffs import handoff_view, ignored_view
from projections.views.identity import AUTHORITIES
from schemas.answers import journeys as answers
from schemas.answers.contacts import SeenIdentifier
from schemas.answers.parts import EventRef


def journey_view(journey: Journey, rules: Rules, at: int) -> answers.Journey:
    """A journey; what time alone changes is as it is at `at`, microseconds since 1970 UTC."""
    assert journey.life is not None, "a stored journey has a lifecycle"
    life = copy_of(journey.life)
    advance(life, at, rules)
    stays = memberships(journey, rules)
    owner = last_said(facts_by_name(journey, "owner").get("", []))
    traits = {name: winner(name, facts, rules) for name, facts in facts_by_name(journey, "trait").items()}
    return answers.Journey(
        journey_id=id_text(journey.journey_id),
        version=journey.events,
        stage=rules.names[life.stage],
        stage_since=time_text(life.history[-1].at),
        history=[_entry(entry, rules) for entry in life.history],
        reached={
            name: time_text(when) for name, when in zip(rules.names, life.reached, strict=False) if when is not None
        },
        flags=flags(life, rules, at),
        identifiers=[
            SeenIdentifier(type=known.type, value=known.value, first_seen=time_text(known.at))
            for known in sorted(journey.identifiers.values(), key=lambda known: (known.type, known.value))
        ],
        refused_links=[_refused(link, journey) for link in sorted(journey.refused)],
        touchpoints=[_touchpoint(moment) for moment in journey.moments if moment.channel is not None],
        milestones=[_milestone(moment) for moment in journey.moments if moment.type in MILESTONES],
        activity=_activity(journey.moments),
        handoffs=[shown for one in life.handoffs if (shown := handoff_view(one, at)) is not None],
        ignored_decisions=[ignored_view(one) for one in life.ignored],
        audiences=audiences_at(journey, life.stage, rules, at),
        traits=_values(traits),
        trait_sources=_provenance(journey, traits),
        consent=consent_of(journey),
        account=stays[-1].account if stays else None,
        accounts=[_stay(stay) for stay in stays],
        owner=owner.value if owner else None,
        score=life.score,
        value=dict(sorted(life.value.items())),
        first_seen=time_text(life.history[0].at),
        last_seen=time_text(max(journey.last_seen, life.history[0].at)),
        as_of=time_text(at),
    )


def flags(life: Lifecycle, rules: Rules, at: int) -> list[str]:
    """What is odd about a journey: a stage of the main line whose criterion was met before an earlier stage's.

    The line is the one that holds at `at`, microseconds since 1970 UTC.
    """
    reached = dict(enumerate(life.reached))
    line = [(stage, when) for stage in rules.at(at).main_line if (when := reached.get(stage)) is not None]
    return [
        f"{rules.names[later]}-before-{rules.names[earlier]}"
        for i, (earlier, earlier_at) in enumerate(line)
        for later, later_at in line[i + 1 :]
        if later_at < earlier_at
    ]


def _entry(entry: Entry, rules: Rules) -> answers.StageEntry:
    event = None if entry.id is None else EventRef(id=id_text(entry.id), source=entry.source or "")
    cause: Literal["event", "silence"] = "silence" if event is None else "event"
    return answers.StageEntry(stage=rules.names[entry.stage], at=time_text(entry.at), cause=cause, event=event)


def _stay(stay: Membership) -> answers.AccountStay:
    return answers.AccountStay(
        account=stay.account,
        since=time_text(stay.since),
        until=time_text(stay.until) if stay.until is not None else None,
        known_by="email domain" if stay.weak else "event",
        value=dict(sorted(stay.value.items())),
    )


def _provenance(journey: Journey, winners: dict[str, Fact | None]) -> dict[str, list[answers.TraitSource]]:
    """By trait: what each source said, and which word holds."""
    return {
        name: [
            answers.TraitSource(
                value=fact.value,
                at=time_text(fact.at),
                event=EventRef(id=id_text(fact.id), source=fact.source),
                holds=fact is winners[name],
            )
            for fact in facts
        ]
        for name, facts in sorted(facts_by_name(journey, "trait").items())
    }


def _refused(link: Link, journey: Journey) -> answers.RefusedLink:
    ends = [id_text(end) for end in (link.a, link.b)]
    own = [f"{known.type}:{known.value}" for end in (link.a, link.b) if (known := journey.identifiers.get(end))]
    return answers.RefusedLink(
        identifiers=own,
        journeys=ends,
        reason=link.refused,
        authority=AUTHORITIES[link.authority],
        at=time_text(link.at),
        event=EventRef(id=id_text(link.id), source=link.source),
    )


def _touchpoint(moment: Moment) -> answers.Touchpoint:
    assert moment.channel is not None, "a touchpoint has a channel"
    return answers.Touchpoint(
        at=time_text(moment.at),
        type=moment.type,
        channel=moment.channel,
        campaign=moment.campaign,
        count=moment.count,
        cost=moment.cost,
        event=EventRef(id=id_text(moment.id), source=moment.source),
    )


def _milestone(moment: Moment) -> answers.Milestone:
    return answers.Milestone(
        at=time_text(moment.at),
        type=moment.type,
        amount=moment.amount,
        currency=moment.currency,
        note=moment.note,
        event=EventRef(id=id_text(moment.id), source=moment.source),
    )


def _activity(moments: list[Moment]) -> dict[str, int]:
    """Events by type."""
    counts: dict[str, int] = {}
    for moment in moments:
        counts[moment.type] = counts.get(moment.type, 0) + moment.count
    return dict(sorted(counts.items()))


def _values(facts: dict[str, Fact | None]) -> dict[str, Any]:
    """Names and values; a fact of None was deleted."""
    return {name: fact.value for name, fact in sorted(facts.items()) if fact is not None and fact.value is not None}
