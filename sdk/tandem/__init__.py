"""Publish marketing and sales facts to Tandem, read customer journeys, and follow how they change."""

from msgspec import UNSET

from tandem import answers, events
from tandem._async.client import AsyncClient
from tandem._async.subscription import AsyncSubscription
from tandem._sync.client import Client
from tandem._sync.subscription import Subscription
from tandem.errors import (
    ApiError,
    BufferFull,
    ConfirmationNeeded,
    DeliveryFailed,
    FeedReset,
    FollowedTwice,
    InvalidEvent,
    NotFound,
    Problem,
    TandemError,
    Undelivered,
)
from tandem.feed import Change
from tandem.following import follow
from tandem.identifiers import CustomType, Identifier
from tandem.ids import event_id
from tandem.producer import AsyncProducer, Producer
from tandem.transport import Receipt

__version__ = "0.2.0"

__all__ = [
    "UNSET",
    "ApiError",
    "AsyncClient",
    "AsyncProducer",
    "AsyncSubscription",
    "BufferFull",
    "Change",
    "Client",
    "ConfirmationNeeded",
    "CustomType",
    "DeliveryFailed",
    "FeedReset",
    "FollowedTwice",
    "Identifier",
    "InvalidEvent",
    "NotFound",
    "Problem",
    "Producer",
    "Receipt",
    "Subscription",
    "TandemError",
    "Undelivered",
    "__version__",
    "answers",
    "event_id",
    "events",
    "follow",
]
