"""How events travel: one interface, two ways."""

import asyncio
from typing import Protocol

import msgspec

from tandem.envelope import Encoded


class Receipt(msgspec.Struct, frozen=True):
    """Where the broker put an event."""

    event_id: str
    topic: str
    partition: int
    offset: int


class Transport(Protocol):
    """Takes encoded events and answers for each. Retries are its business; order within a key is kept."""

    async def start(self) -> None:
        """Connect."""

    async def stop(self) -> None:
        """Disconnect; what is still under way fails."""

    async def send(self, event: Encoded) -> "asyncio.Future[Receipt]":
        """Take an event. The future fails with DeliveryFailed."""
        ...
