"""A journey in short, as lists and the change feed show it."""

from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from projections.journey.facts import Fact
from projections.journey.links import Known
from projections.journey.traits import latest
from projections.playbook.rules import Rules
from projections.text import time_text


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


def summary_view(summary: Summary, rules: Rules, at: int) -> dict[str, Any]:
    """A journey in short as a JSON object; its stage is the one at `at`, microseconds since 1970 UTC."""
    stage, since = summary.stage, summary.stage_since
    for when, following, _ in summary.due:
        if when <= at and following != stage:
            stage, since = following, when
    return {
        "journey_id": str(summary.journey_id),
        "version": summary.version,
        "stage": rules.names[stage],
        "stage_since": time_text(since),
        "first_seen": time_text(summary.first_seen),
        "last_seen": time_text(summary.last_seen),
        "channel": summary.channel,
        "campaign": summary.campaign,
        "owner": summary.owner,
        "account": summary.account,
        "score": summary.score,
        "value": summary.value,
    }


def contact_view(state: bytes) -> dict[str, Any]:
    """Who a stored journey is, and what that person consented to: what subscribers find their own records by."""
    found = _contact.decode(state)
    consents: dict[str, list[Fact]] = {}
    for fact in found.facts:
        if fact.kind == "consent":
            consents.setdefault(fact.name, []).append(fact)
    said = {name: latest(facts) for name, facts in consents.items()}
    return {
        "identifiers": [
            {"type": known.type, "value": known.value}
            for known in sorted(found.identifiers, key=lambda known: (known.type, known.value))
        ],
        "consent": {name: fact.value for name, fact in sorted(said.items()) if fact and fact.value is not None},
    }
