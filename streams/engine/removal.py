"""Removal: all that is stored of an erased person, and where. A batch with an erasure takes it out of the database."""

from collections.abc import Callable, Iterable, Mapping

from projections.identifiers import normalise
from projections.identity.erasure import Erased
from projections.journey.journey import Journey
from projections.playbook.rules import Rules
from schemas.event import Event
from store.archive import RecordId
from store.erasure import Removal, all_keys, all_letters
from store.session import Connection
from streams.engine.archived_events import ArchivedEvent
from streams.engine.erasures import names_erased

_LONG = 8  #: characters; shorter values are searched in quotes only, for they may be part of anything


async def stored_keys(
    connection: Connection, erased: Erased, releases: Mapping[bytes, list[int]]
) -> tuple[list[bytes], list[bytes]]:
    """(those that are erased, those that are shared devices) among all identifiers that are stored."""
    own, shared = list[bytes](), list[bytes]()
    async for page in all_keys(connection):
        some = erased.among(page, releases)
        own += some[0]
        shared += some[1]
    return own, shared


async def removal_of(
    connection: Connection,
    *,
    events: list[ArchivedEvent],
    people: Iterable[Journey],
    keys: list[bytes],
    erased: Erased,
    rules: Rules,
    feed_head: int,
    names_person: Callable[[list[bytes]], bool],
) -> Removal:
    """All that is stored of a person: archived `events`, and `people` with identifiers among `keys`.

    `feed_head` and `names_person`: see Removal.
    """
    own = set(keys)
    values = {known.value for journey in people for key, known in journey.identifiers.items() if key in own}
    values |= {value for one in events for value in _spellings(one.event, erased, rules)}
    blocks: dict[tuple[int, int], list[RecordId]] = {}
    for one in events:
        blocks.setdefault((one.bucket, one.batch_id), []).append(one.record_id)
    homes = {journey.journey_id for journey in people if not own.isdisjoint(journey.identifiers)}
    return Removal(
        blocks=[(*block, sorted(records)) for block, records in sorted(blocks.items())],
        letters=await _letters_naming(connection, erased, rules, values),
        journeys=sorted(homes | own),
        values=sorted(value for value in values if len(value) >= _LONG),
        feed_head=feed_head,
        names_person=names_person,
    )


def _spellings(event: Event, erased: Erased, rules: Rules) -> Iterable[str]:
    """Values of erased identifiers as the event writes them."""
    region = rules.phone_regions.get(event.source) if rules.phone_regions else None
    for type_, value in event.identities:
        identifier = normalise(type_, value, region if type_ == "phone" else None)
        if identifier is not None and erased.has(identifier.key, event.occurred_at):
            yield value


async def _letters_naming(connection: Connection, erased: Erased, rules: Rules, values: set[str]) -> list[RecordId]:
    letters = []
    async for page in all_letters(connection):
        for partition_id, offset, payload in page:
            if names_erased(payload, erased, rules) or _holds(payload, values):
                letters.append((partition_id, offset))
    return letters


def _holds(payload: bytes, values: set[str]) -> bool:
    text = payload.lower()
    return any(
        (lower if len(lower) >= _LONG else b'"' + lower + b'"') in text
        for lower in (value.lower().encode() for value in values)
    )
