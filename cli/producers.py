"""Producers of the commands that publish."""

from streams.kafka import KafkaSettings
from tandem import AsyncProducer


def producer_of(kafka: KafkaSettings, owner: str, source: str) -> AsyncProducer:
    """A producer of one source, not started, with all that the settings say of the broker."""
    options = kafka.producer_options()
    bootstrap = options.pop("bootstrap_servers")
    return AsyncProducer(owner=owner, source=source, kafka=bootstrap, topic_prefix=kafka.topic_prefix, **options)
