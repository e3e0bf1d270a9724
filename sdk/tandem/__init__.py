"""Publish marketing and sales facts to Tandem, read customer journeys, and follow how they change."""

from tandem import events
from tandem.client import AsyncClient, Client
from tandem.errors import (
    ApiError,
    BufferFull,
    ConfirmationNeeded,
    DeliveryFailed,
    FeedReset,
    FollowedTwice,
    InvalidEvent,
    NotFound,
    TandemError,
    Undelivered,
)
from tandem.following import follow
from tandem.ids import event_id
from tandem.producer import AsyncProducer, Producer
from tandem.subscription import Change, Subscription
from tandem.transport import Receipt

__all__ = [
    "ApiError",
    "AsyncClient",
    "AsyncProducer",
    "BufferFull",
    "Change",
    "Client",
    "ConfirmationNeeded",
    "DeliveryFailed",
    "FeedReset",
    "FollowedTwice",
    "InvalidEvent",
    "NotFound",
    "Producer",
    "Receipt",
    "Subscription",
    "TandemError",
    "Undelivered",
    "event_id",
    "events",
    "follow",
]
