"""A world for the tests of access: real Kafka and PostgreSQL, two people, an issuer, and a case for each endpoint."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg
import httpx
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from api.access.keys import new_key
from api.access.policy import OPEN
from projections.journey.handoffs import handoff_id
from projections.playbook.model import compile_windows, load_playbook
from store.keys import LiveKey, add_key
from streams.kafka import KafkaSettings, event_topics
from tests.api.tokens import bearer, token
from tests.plans import EAGER, proposal_id, propose
from tests.support import body

WINDOWS = compile_windows(load_playbook())
NOTE, COST, MAIL = "far too small", 98_127, "ana@x.org"
ANA, BOB = "user_id:ana", "user_id:bob"
_NOW = datetime.now(UTC).isoformat()  #: a hand-off of long ago would have expired
_TOUCH = {"channel": "fair", "campaign": "spring", "cost": {"amount": COST, "currency": "EUR"}}
#: Ana withdrew her consent to mails; a form says that Bob has her address, which is refused.
EVENTS: list[tuple[str, int, bytes | None]] = [
    ("marketing", 0, body(1, "lead_captured", who={"user_id": "ana", "email": MAIL}, data=_TOUCH)),
    ("marketing", 0, body(2, "consent_changed", who={"user_id": "ana"}, consent={"email": False})),
    ("marketing", 0, body(3, who={"user_id": "bob", "account": "acme"})),
    ("marketing", 1, body(4, "form_submitted", who={"user_id": "bob", "email": MAIL}, data={"form": "f"})),
    ("sales", 0, body(5, "lead_rejected", source="crm", who={"user_id": "ana"}, data={"reason": NOTE})),
    ("marketing", 2, b"no event of marketing"),
    ("sales", 2, b"no event of sales"),
    ("joint", 2, b"no event of both"),
    ("joint", 0, propose(1, "2026-01-01T00:00:00Z")[1]),
    ("marketing", 0, body(6, "lead_qualified", who={"user_id": "ana"}, occurred_at=_NOW)),
]
_HANDOFF = uuid.UUID(bytes=handoff_id("qualified-lead", "web", uuid.UUID(int=7).bytes))


class Case(NamedTuple):
    """A request that an endpoint answers to whoever may use it."""

    path: str
    body: dict[str, Any] | None = None


def _ruling(kind: str) -> dict[str, Any]:
    return {"ruling": kind, "identifiers": [ANA, BOB], "by": "somebody else", "confirm": True}


def cases(topics: dict[str, str]) -> dict[str, Case]:
    """One for each endpoint; a new endpoint without one fails the tests."""
    return {
        "GET /openapi.json": Case("/openapi.json"),
        "GET /v1/journeys/{identifier:path}": Case(f"/v1/journeys/{ANA}"),
        "GET /v1/journeys": Case("/v1/journeys"),
        "GET /v1/changes": Case("/v1/changes?snapshot=true"),
        "GET /v1/funnel": Case("/v1/funnel?by=channel"),
        "GET /v1/attribution": Case("/v1/attribution?by=campaign"),
        "GET /v1/accounts/{account:path}": Case("/v1/accounts/acme"),
        "GET /v1/identity/persons/{identifier:path}": Case(f"/v1/identity/persons/{ANA}"),
        "GET /v1/identity/explain": Case(f"/v1/identity/explain?a={ANA}&b={BOB}"),
        "GET /v1/identity/conflicts": Case("/v1/identity/conflicts"),
        "GET /v1/identity/quarantine": Case("/v1/identity/quarantine"),
        "GET /v1/identity/victims": Case(f"/v1/identity/victims?identifier={ANA}"),
        "POST /v1/identity/preview": Case("/v1/identity/preview", _ruling("join")),
        "POST /v1/identity/rulings": Case("/v1/identity/rulings", _ruling("split")),
        "GET /v1/diff/{identifier:path}": Case(f"/v1/diff/{ANA}?from=2026-01-01T00:00:01.5Z"),
        "GET /v1/explain/{identifier:path}": Case(f"/v1/explain/{ANA}"),
        "GET /v1/handoffs": Case("/v1/handoffs"),
        "GET /v1/handoffs/report": Case("/v1/handoffs/report"),
        "GET /v1/handoffs/{handoff}": Case(f"/v1/handoffs/{_HANDOFF}"),
        "POST /v1/handoffs/{handoff}/decisions": Case(
            f"/v1/handoffs/{_HANDOFF}/decisions", {"decision": "reject", "reason": "hm"}
        ),
        "GET /v1/audiences": Case("/v1/audiences"),
        "GET /v1/audiences/{name}": Case("/v1/audiences/nurture"),
        "GET /v1/playbook": Case("/v1/playbook"),
        "GET /v1/playbook/proposals": Case("/v1/playbook/proposals"),
        "GET /v1/playbook/proposals/{proposal}": Case(f"/v1/playbook/proposals/{proposal_id(1)}"),
        "POST /v1/playbook/proposals": Case("/v1/playbook/proposals", {"playbook": EAGER}),
        "POST /v1/playbook/proposals/{proposal}/decisions": Case(
            f"/v1/playbook/proposals/{proposal_id(1)}/decisions", {"decision": "comment", "text": "hm"}
        ),
        "POST /v1/playbook/what-if": Case("/v1/playbook/what-if", {"playbook": EAGER}),
        "GET /v1/dead-letters": Case("/v1/dead-letters"),
        "GET /v1/dead-letters/{topic}/{partition}/{offset}": Case(f"/v1/dead-letters/{topics['marketing']}/2/0"),
        "GET /v1/reads": Case("/v1/reads"),
        "POST /v1/events": Case("/v1/events?department=marketing", json.loads(body(50))),
        **{endpoint: Case(endpoint.removeprefix("GET ")) for endpoint in OPEN},
    }


class World:
    """The API with access on, and whoever asks it."""

    def __init__(self, app: FastAPI, client: httpx.AsyncClient, database_url: str, kafka: KafkaSettings) -> None:
        self.app, self.client, self.database_url, self.kafka = app, client, database_url, kafka
        self.topics = event_topics(kafka)

    async def ask(self, endpoint: str, credentials: str | None, case: Case | None = None) -> httpx.Response:
        """An endpoint's case, or another request to it."""
        case = case or cases(self.topics)[endpoint]
        headers = {} if credentials is None else bearer(credentials)
        return await self.client.request(endpoint.partition(" ")[0], case.path, json=case.body, headers=headers)

    async def get(self, path: str, *roles: str) -> httpx.Response:
        """What somebody with these roles is answered."""
        return await self.client.get(path, headers=bearer(token(*roles)))

    async def key(self, department: str, *sources: str, lifetime: timedelta | None = None) -> tuple[str, str]:
        """(id, text) of a new key."""
        made = new_key()
        key = LiveKey(made.key_id, made.hash, department, frozenset(sources))
        async with self.database() as connection:
            await add_key(connection, key, "test", lifetime)
        return made.key_id, made.text

    def database(self) -> "asyncpg.pool.PoolAcquireContext":
        """A writable connection."""
        return self.app.state.context.access.reads._pool.acquire()

    async def recorded(self) -> list[asyncpg.Record]:
        """The record of reads."""
        async with self.database() as connection:
            return await connection.fetch("SELECT * FROM reads ORDER BY read_id")


def endpoints(app: FastAPI) -> set[str]:
    """What the application routes, as the policy writes it."""
    return {
        f"{method} {route.path}"
        for route in iter_route_contexts(app.routes)
        for method in route.methods or {"WEBSOCKET"}
        if method != "HEAD"
    }
