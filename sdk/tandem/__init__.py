"""Publish marketing and sales facts to Tandem, and read customer journeys."""

from tandem import events
from tandem.client import AsyncClient, Client
from tandem.errors import (
    ApiError,
    BufferFull,
    ConfirmationNeeded,
    DeliveryFailed,
    InvalidEvent,
    NotFound,
    TandemError,
    Undelivered,
)
from tandem.ids import event_id
from tandem.producer import AsyncProducer, Producer
from tandem.transport import Receipt

__all__ = [
    "ApiError",
    "AsyncClient",
    "AsyncProducer",
    "BufferFull",
    "Client",
    "ConfirmationNeeded",
    "DeliveryFailed",
    "InvalidEvent",
    "NotFound",
    "Producer",
    "Receipt",
    "TandemError",
    "Undelivered",
    "event_id",
    "events",
]
