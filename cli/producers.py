"""Producers of the commands that publish."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from streams.kafka import KafkaSettings
from tandem import AsyncProducer, Identifier

if TYPE_CHECKING:
    from tandem.identifiers import IdentityType
    from tandem.terms import EventDepartment


def producer_of(kafka: KafkaSettings, department: str, source: str) -> AsyncProducer:
    """A producer of one source, not started, that reaches the broker as the settings say."""
    options = kafka.producer_options()
    return AsyncProducer(
        department=cast("EventDepartment", department),
        source=source,
        kafka=options.pop("bootstrap_servers"),
        topic_prefix=kafka.topic_prefix,
        **options,
    )


def identifiers_of(pairs: Iterable[tuple[str, str]]) -> list[Identifier]:
    """Identifiers as the SDK takes them, of (type, value)."""
    return [Identifier(cast("IdentityType", type_), value) for type_, value in pairs]
