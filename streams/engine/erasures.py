"""Erasures: which events of a batch, and which dead letters, name somebody who was erased."""

from collections.abc import Callable, Container

from projections.identity.erasure import ERASURE, Erased, Erasure
from projections.identity.register import RELEASE
from projections.playbook.events import ABOUT_PLAYBOOK
from projections.playbook.rules import Rules
from projections.subjects import identify
from schemas.decode import decode_again
from schemas.event import Event
from schemas.rejection import Rejection
from store.commit import DeadLetter
from store.erasure import UnknownSecret, read_secret
from store.session import Connection
from streams.engine.batch import BatchEvent, ReadBatch

ERASED = Rejection("erased", "", "it names somebody who was erased, at a time up to the erasure: it is not kept")
UNKNOWN_SECRET = Rejection(
    "unknown_secret", "data.secret", "nobody can say whom this erasure is about: make it with `tandem erase`"
)
_ABOUT_NOBODY = ABOUT_PLAYBOOK | {ERASURE}


async def can_tell(connection: Connection, erased: Erased, erasure: Erasure) -> bool:
    """Whether the erasure's hashes are made with this database's secret. Raises UnknownSecret where it has none."""
    if not erased.secret_name:  # it may have been made after this worker had started
        secret = await read_secret(connection)
        if secret is None:
            raise UnknownSecret(
                f"an erasure was made with the secret {erasure.secret}, and this database has none: restore the "
                "table `secrets` from a backup. Until then nothing is applied: nobody could say whom it is about"
            )
        erased.set_secret(secret)
    return erased.secret_name == erasure.secret


def erased_places(
    batch: ReadBatch, known: Container[int], erased: Erased, rules: Rules, original: Callable[[BatchEvent], Event]
) -> set[int]:
    """Places of a batch's events that are erased, those in `known` left out.

    `original` decodes an event: one that is not folded may name somebody all the same.
    """
    places = set[int]()
    for place, event in enumerate(batch.events):
        moment = event.moment
        if place in known or moment.type == RELEASE or (event.subject is None and moment.type in _ABOUT_NOBODY):
            continue
        if event.subject is None:
            taken = is_erased(erased, original(event), rules)
        else:
            taken = erased.covers(event.key, moment.at, batch.subjects[event.subject].persons)
        if taken:
            places.add(place)
    return places


def is_erased(erased: Erased, event: Event, rules: Rules) -> bool:
    """Whether an event is erased, folded or not. Releases never are: docs/explanation/erasure.md says why."""
    if event.type == RELEASE:
        return False
    region = rules.phone_regions.get(event.source) if rules.phone_regions else None
    subject = identify(event.identities, region, event.type)
    return erased.covers((event.id, event.source), event.occurred_at, subject.persons if subject else ())


def names_erased(payload: bytes, erased: Erased, rules: Rules) -> bool:
    """Whether a dead letter is an event, and one that is erased."""
    try:
        event = decode_again(payload)  # it may be another department's, and have lost its id to this one's
    except Rejection:
        return False
    return is_erased(erased, event, rules)


def without_erased(letters: list[DeadLetter], erased: Erased, rules: Rules) -> list[DeadLetter]:
    """Dead letters, of which those that name somebody erased keep their place and nothing else."""
    return [
        letter._replace(reason=ERASED.reason, field=ERASED.field, message=ERASED.message, payload=None)
        if letter.payload is not None and names_erased(letter.payload, erased, rules)
        else letter
        for letter in letters
    ]
