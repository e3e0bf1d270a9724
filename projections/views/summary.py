"""A journey in short, as lists and the change feed show it."""

from typing import NamedTuple
from uuid import UUID

import msgspec

from projections.journey.facts import Fact
from projections.journey.links import Known
from projections.journey.traits import latest
from projections.playbook.rules import Rules
from projections.text import time_text
from schemas.answers.contacts import Contact, Identifier
from schemas.answers.journeys import FeedJourney, JourneySummary


class Summary(NamedTuple):
    """The stored columns behind it. Times are microseconds since 1970 UTC; stages are playbook indices."""

    journey_id: UUID
    version: int
    stage: int
    stage_since: int
    due: list[tuple[int, int, list[str]]]  #: (time, stage, audiences) that time alone will make of it
    first_seen: int
    last_seen: int
    channel: str | None
    campaign: str | None
    owner: str | None
    account: str | None
    score: int
    value: dict[str, int]


class _Contact(msgspec.Struct, array_like=True):
    """The parts of a stored state that say who somebody is; the others are not decoded."""

    format: int
    identifiers: list[Known]
    links: msgspec.Raw
    moments: msgspec.Raw
    facts: list[Fact]


_contact = msgspec.msgpack.Decoder(_Contact)


def summary_view(summary: Summary, rules: Rules, at: int) -> JourneySummary:
    """A journey in short; its stage is the one at `at`, microseconds since 1970 UTC."""
    stage, since = _stage_at(summary, at)
    return JourneySummary(
        journey_id=str(summary.journey_id),
        version=summary.version,
        stage=rules.names[stage],
        stage_since=time_text(since),
        first_seen=time_text(summary.first_seen),
        last_seen=time_text(summary.last_seen),
        channel=summary.channel,
        campaign=summary.campaign,
        owner=summary.owner,
        account=summary.account,
        score=summary.score,
        value=summary.value,
    )


def feed_journey_view(summary: Summary, state: bytes, rules: Rules, at: int) -> FeedJourney:
    """A journey in short at `at`, microseconds since 1970 UTC, and who it is."""
    stage, since = _stage_at(summary, at)
    identifiers, consent = _who(state)
    return FeedJourney(
        journey_id=str(summary.journey_id),
        version=summary.version,
        stage=rules.names[stage],
        stage_since=time_text(since),
        first_seen=time_text(summary.first_seen),
        last_seen=time_text(summary.last_seen),
        channel=summary.channel,
        campaign=summary.campaign,
        owner=summary.owner,
        account=summary.account,
        score=summary.score,
        value=summary.value,
        identifiers=identifiers,
        consent=consent,
    )


def contact_view(journey_id: UUID, state: bytes) -> Contact:
    """Who a stored journey is, and what that person consented to: what subscribers find their own records by."""
    identifiers, consent = _who(state)
    return Contact(journey_id=str(journey_id), identifiers=identifiers, consent=consent)


def _stage_at(summary: Summary, at: int) -> tuple[int, int]:
    """(the stage at a time, since when)."""
    stage, since = summary.stage, summary.stage_since
    for when, following, _ in summary.due:
        if when <= at and following != stage:
            stage, since = following, when
    return stage, since


def _who(state: bytes) -> tuple[list[Identifier], dict[str, bool]]:
    """(identifiers, consent) of a stored journey."""
    contact = _contact.decode(state)
    consents: dict[str, list[Fact]] = {}
    for fact in contact.facts:
        if fact.kind == "consent":
            consents.setdefault(fact.name, []).append(fact)
    said = {name: latest(facts) for name, facts in consents.items()}
    identifiers = [
        Identifier(type=known.type, value=known.value)
        for known in sorted(contact.identifiers, key=lambda known: (known.type, known.value))
    ]
    return identifiers, {name: fact.value for name, fact in sorted(said.items()) if fact and fact.value is not None}
