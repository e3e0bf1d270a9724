"""Who was one person when: identity as of a time, on both axes, from the archive."""

from datetime import datetime

from projections.identifiers import identifier_key
from projections.memory import MemoryFold
from projections.playbook import Rules
from projections.workspace import Workspace
from schemas.decode import decode
from schemas.event import Event
from store.archive import Archived, read_named
from store.identity import committed_by, everybody_ever_tied, owners_of
from store.session import Reader
from streams.intake import precedes


async def identity_as_of(
    connection: Reader, rules: Rules, key: bytes, at: int | None, known_at: datetime | None
) -> Workspace:
    """The journeys of everybody who is tied to an identifier, as of a time.

    `at`: only what had happened by then, in microseconds since 1970 UTC. `known_at`: only what Tandem had committed by
    then. The connection gives uuid values as raw bytes.
    """
    today = await everybody_ever_tied(connection, rules, [key])
    bases = {identifier_key(k.type, k.value) for j in today.journeys.values() for k in j.identifiers.values()}
    archived = await read_named(connection, bases | {key})
    if known_at is not None:
        known = await committed_by(connection, {batch_id for batch_id, _ in archived}, known_at)
        archived = [(batch_id, event) for batch_id, event in archived if batch_id in known]
    owners = await owners_of(connection, [event for _, event in archived])
    fold = MemoryFold(Workspace(rules))
    for event in _distinct([event for _, event in archived], owners):
        if at is None or event.occurred_at <= at:
            fold.add(event)
    fold.workspace.harvest()
    return fold.workspace


def _distinct(archived: list[Archived], owners: dict[int, str]) -> list[Event]:
    """Each event once, as the rule for conflicts has it, in the order of time."""
    found: dict[tuple[bytes, str], tuple[Archived, Event]] = {}
    for one in archived:
        event = decode(one.value, owners[one.partition_id])
        known = found.get((event.id, event.source))
        if known is None or precedes(one.value, known[0].value):
            found[event.id, event.source] = (one, event)
    return sorted((event for _, event in found.values()), key=lambda event: (event.occurred_at, event.id, event.source))
