"""What requests need, made once for the process."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import asyncpg
from fastapi import Request

from api.access.caller import Access
from api.feed.hub import Hub
from api.http.lookup import Lookup
from projections.playbook.rules import Rules
from streams.engine.live_rules import LiveRules
from streams.gateway import Gateway


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The open parts."""

    database_url: str
    pool: asyncpg.Pool
    raw_pool: asyncpg.Pool  #: gives uuid values as 16 raw bytes
    lookup: Lookup
    gateway: Gateway | None
    agreed: LiveRules
    clock: Callable[[], int]  #: microseconds since 1970 UTC
    hub: Hub
    catching_up: asyncio.Semaphore  #: leaves connections to others when many subscribers read what they missed
    attributing: asyncio.Semaphore  #: an attribution reads all journeys: one at a time
    access: Access | None  #: None while access is off

    @property
    def rules(self) -> Rules:
        """All that is agreed by now."""
        return self.agreed.rules


def context_of(request: Request) -> Context:
    """The context of the application that a request came to."""
    context: Context = request.app.state.context
    return context
