"""What of an erased person is stored, and where: what a batch with an erasure takes out of the database."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

from projections.fold import subject_of
from projections.identifiers import identifier_key, normalise
from projections.identity.erasure import Erased
from projections.identity.register import RELEASE
from projections.journey.journey import Journey
from projections.playbook.rules import Rules
from projections.subjects import Subject, identify
from schemas.decode import decode, decode_again
from schemas.event import Event
from schemas.rejection import Rejection
from store.archive import Archived, read_named
from store.commit import DeadLetter
from store.erasure import Erasing, Places, all_keys, all_letters
from store.session import Reader
from streams.engine.archive_filter import may_name
from streams.engine.intake import NOBODY, EventKey

ERASED = Rejection("erased", "", "it names somebody who was erased, at a time up to the erasure: it is not kept")
UNKNOWN_SECRET = Rejection(
    "unknown_secret", "data.secret", "nobody can say whom this erasure is about: make it with `tandem erase`"
)
_FEW = 20  #: identifiers: to look for more of them costs as much as decoding
_LONG = 8  #: characters; shorter values are looked for in quotes only, for they may be part of anything


class ArchivedEvent(NamedTuple):
    """An archived event, and where it lies."""

    bucket: int
    batch_id: int
    archived: Archived
    event: Event
    subject: Subject | None  #: None: it is not folded

    @property
    def key(self) -> EventKey:
        """What the event is known by."""
        return (self.event.id, self.event.source)

    @property
    def place(self) -> tuple[int, int]:
        """(partition id, offset)."""
        return (self.archived.partition_id, self.archived.offset)


async def stored_naming(
    connection: Reader,
    journeys: Iterable[Journey],
    owners: Mapping[int, str],
    rules: Rules,
    *,
    nobodys: bool = False,
    more: Collection[bytes] = (),
    until_batch: int | None = None,
) -> list[ArchivedEvent]:
    """All archived events that name any identifier of the journeys, and some others.

    `nobodys`: also those that are archived and not folded. `more`: identifiers, without releases, of no journey.
    """
    people = [known for journey in journeys for known in journey.identifiers.values()]
    bases = {identifier_key(known.type, known.value) for known in people}
    may_be = may_name(people) if bases.issuperset(more) and len(people) <= _FEW else _whoever
    bases.update(more)
    found = []
    for bucket, batch_id, archived in await read_named(connection, bases | {NOBODY} if nobodys else bases, may_be):
        if until_batch is not None and batch_id > until_batch:
            continue
        event = decode(archived.value, owners[archived.partition_id])
        found.append(ArchivedEvent(bucket, batch_id, archived, event, subject_of(event, rules)))
    return found


def _whoever(_: bytes) -> bool:
    return True


async def stored_keys(
    connection: Reader, erased: Erased, releases: Mapping[bytes, list[int]]
) -> tuple[list[bytes], list[bytes]]:
    """(those that are erased, those that are shared devices) among all identifiers that are stored."""
    own, shared = list[bytes](), list[bytes]()
    async for page in all_keys(connection):
        some = erased.among(page, releases)
        own += some[0]
        shared += some[1]
    return own, shared


def is_erased(erased: Erased, event: Event, rules: Rules) -> bool:
    """Whether an event is erased, also one that is not folded. Releases never are: docs/erasure.md says why."""
    if event.type == RELEASE:
        return False
    region = rules.phone_regions.get(event.source) if rules.phone_regions else None
    subject = identify(event.identities, region, event.type)
    return erased.covers((event.id, event.source), event.occurred_at, subject.persons if subject else ())


async def what_to_erase(
    connection: Reader,
    gone: list[ArchivedEvent],
    people: Iterable[Journey],
    keys: list[bytes],
    erased: Erased,
    rules: Rules,
    seen: int,
    names: Callable[[list[bytes]], bool],
) -> Erasing:
    """All that is stored of a person: `gone` of the archive, `people` with identifiers among `keys`.

    `seen` and `names`: see Erasing.
    """
    blocks: dict[tuple[int, int], Places] = {}
    for one in gone:
        blocks.setdefault((one.bucket, one.batch_id), []).append(one.place)
    own = set(keys)
    values = {known.value for journey in people for key, known in journey.identifiers.items() if key in own}
    values |= {value for one in gone for value in _spellings(one.event, erased, rules)}
    letters: Places = []
    async for page in all_letters(connection):
        for partition_id, offset, payload in page:
            if names_erased(payload, erased, rules) or _holds(payload, values):
                letters.append((partition_id, offset))
    homes = {journey.journey_id for journey in people if not own.isdisjoint(journey.identifiers)}
    return Erasing(
        [(*block, sorted(places)) for block, places in sorted(blocks.items())],
        letters,
        sorted(homes | own),
        sorted(value for value in values if len(value) >= _LONG),
        seen,
        names,
    )


def _spellings(event: Event, erased: Erased, rules: Rules) -> Iterable[str]:
    """Values of erased identifiers as the event writes them."""
    region = rules.phone_regions.get(event.source) if rules.phone_regions else None
    for type_, value in event.identities:
        found = normalise(type_, value, region if type_ == "phone" else None)
        if found is not None and erased.has(found.key, event.occurred_at):
            yield value


def names_erased(payload: bytes, erased: Erased, rules: Rules) -> bool:
    """Whether a dead letter is an event, and one that is erased."""
    try:
        event = decode_again(payload)  # it may be another department's, and have lost its id to this one's
    except Rejection:
        return False
    return is_erased(erased, event, rules)


def _holds(payload: bytes, values: set[str]) -> bool:
    text = payload.lower()
    return any(
        (lower if len(lower) >= _LONG else b'"' + lower + b'"') in text
        for lower in (value.lower().encode() for value in values)
    )


def without_erased(letters: list[DeadLetter], erased: Erased, rules: Rules) -> list[DeadLetter]:
    """Dead letters, of which those that name somebody erased keep their place and nothing else."""
    return [
        letter._replace(reason=ERASED.reason, field=ERASED.field, message=ERASED.message, payload=None)
        if letter.payload is not None and names_erased(letter.payload, erased, rules)
        else letter
        for letter in letters
    ]
