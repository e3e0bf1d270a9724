"""Producers of the commands that publish."""

from streams.kafka import KafkaSettings
from tandem import AsyncProducer


def producer_of(kafka: KafkaSettings, department: str, source: str) -> AsyncProducer:
    """A producer of one source, not started, that reaches the broker as the settings say."""
    options = kafka.producer_options()
    bootstrap = options.pop("bootstrap_servers")
    return AsyncProducer(owner=department, source=source, kafka=bootstrap, topic_prefix=kafka.topic_prefix, **options)
