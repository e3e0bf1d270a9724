"""What may go wrong with the embedded stack, by name."""

from schemas.errors import TandemError


class KafkaUnavailable(TandemError):
    """Apache Kafka cannot run on this machine: the message says what is missing. `tandem up` goes on in memory."""
