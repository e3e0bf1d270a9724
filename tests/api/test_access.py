"""Access over real Kafka and PostgreSQL: role by endpoint by field, from the code; and ways around that are none."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import httpx
import pytest
import schemathesis
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from hypothesis import HealthCheck, given, settings
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from api.access import AccessSettings
from api.app import create_app
from api.keys import new_key
from api.policy import DEPARTMENTS, KEY, OPEN, POLICY, ROLES
from api.tokens import LEEWAY, OidcSettings
from deploy.embedded.process import free_port
from projections.handoffs import handoff_id
from projections.identifiers import identifier_key
from projections.playbook import compile_windows, load_playbook
from projections.windows import HIDEABLE, Window
from store.keys import LiveKey, add_key, follow_key, revoke_key
from streams.kafka import KafkaSettings, event_topics
from tandem import AsyncClient, AsyncProducer, DeliveryFailed, Undelivered, events
from tests.api.tokens import AUDIENCE, ISSUER, bearer, publish, token
from tests.plans import EAGER, proposal_id, propose
from tests.support import body, produce, project, served, until

WINDOWS = compile_windows(load_playbook())
NOTE, COST, MAIL = "far too small", 98_127, "ana@x.org"
ANA, BOB = "user_id:ana", "user_id:bob"
_NOW = datetime.now(UTC).isoformat()  #: a hand-off of long ago would have expired
_TOUCH = {"channel": "fair", "campaign": "spring", "cost": {"amount": COST, "currency": "EUR"}}
#: Ana withdrew her consent to mails; a form says that Bob has her address, which is refused.
_EVENTS: list[tuple[str, int, bytes | None]] = [
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
        "POST /v1/events": Case("/v1/events?owner=marketing", json.loads(body(50))),
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


@pytest.fixture
async def world(kafka_settings: KafkaSettings, database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """Ana and Bob, dead letters of each topic, and an issuer."""
    await produce(kafka_settings, _EVENTS)
    await project(kafka_settings, database_url, len(_EVENTS))
    access = AccessSettings(OidcSettings(ISSUER, AUDIENCE, publish(tmp_path / "jwks.json")))
    app = create_app(database_url=database_url, kafka=kafka_settings, access=access)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://api.example") as client:
            yield World(app, client, database_url, kafka_settings)


def endpoints(app: FastAPI) -> set[str]:
    """What the application routes, as the policy writes it."""
    return {
        f"{method} {route.path}"
        for route in iter_route_contexts(app.routes)
        for method in route.methods or {"WEBSOCKET"}
        if method != "HEAD"
    }


async def test_every_route_has_a_policy_and_a_case(world: World) -> None:
    found = endpoints(world.app)
    assert found
    assert found <= OPEN | POLICY.keys()
    assert found <= cases(world.topics).keys()


async def test_a_route_without_a_policy_is_denied(world: World) -> None:
    @world.app.get("/v1/new")
    async def new() -> str:
        return "open to all"

    assert "GET /v1/new" in endpoints(world.app)
    for role in sorted(ROLES):
        assert (await world.get("/v1/new", role)).status_code == 403
    assert (await world.client.get("/v1/new")).status_code == 401


async def test_role_by_endpoint(world: World) -> None:
    """Each cell of the table; whoever may not, reads the same words everywhere."""
    callers: dict[str, tuple[frozenset[str], str | None]] = {
        "nobody": (frozenset(), None),
        "somebody without a role": (frozenset({""}), token("cook", KEY)),
        "a key of marketing": (frozenset({KEY}), (await world.key("marketing"))[1]),
        **{role: (frozenset({role}), token(role)) for role in sorted(ROLES)},
    }
    denied: dict[int, set[str]] = {401: set(), 403: set()}
    for endpoint in sorted(endpoints(world.app)):
        for name, (roles, credentials) in callers.items():
            before = len(await world.recorded())
            answer = await world.ask(endpoint, credentials)
            if endpoint in OPEN:
                assert answer.status_code == 200, (endpoint, name)
                continue
            rule = POLICY[endpoint]
            allowed = bool(rule.roles & roles) and not _is_another_s(endpoint, roles)
            if allowed:
                assert answer.status_code in (200, 201), (endpoint, name, answer.text)
            elif rule.roles & roles and "handoffs" in endpoint:
                assert answer.status_code == 409, (endpoint, name)
            elif rule.roles & roles and "dead-letters" in endpoint:
                assert answer.status_code == 404, (endpoint, name)
            else:
                assert answer.status_code == (403 if credentials else 401), (endpoint, name, answer.text)
                denied[answer.status_code].add(answer.text)
            recorded = len(await world.recorded()) - before
            assert recorded == (allowed and rule.personal), (endpoint, name)
    assert len(denied[401]) == len(denied[403]) == 1


def _is_another_s(endpoint: str, roles: frozenset[str]) -> bool:
    """The case is about marketing's own topic."""
    if endpoint == "POST /v1/events":
        return KEY not in roles
    if endpoint == "POST /v1/handoffs/{handoff}/decisions":
        return not roles & {"sales", "sales-planner"}  # a qualified lead is theirs to reject
    if endpoint.startswith("GET /v1/dead-letters/"):
        return not roles & {"marketing", "marketing-planner", "auditor"}
    return False


def fields(answer: Any, path: str = "") -> set[str]:
    """Paths of all fields; lists do not count."""
    if isinstance(answer, list):
        return set().union(*(fields(one, path) for one in answer)) if answer else set()
    if not isinstance(answer, dict):
        return set()
    inner = {f"{path}.{name}".lstrip("."): value for name, value in answer.items()}
    return inner.keys() | set().union(*(fields(value, name) for name, value in inner.items()))


async def test_role_by_field(world: World) -> None:
    """A role is shown what the auditor is shown, but for the fields that its window hides, and those are named."""
    seen_to_be_hidden: set[str] = set()
    for endpoint in sorted(endpoints(world.app)):
        for role, department in sorted(DEPARTMENTS.items()):
            if endpoint in OPEN or role not in POLICY[endpoint].roles or "dead-letters" in endpoint:
                continue
            if endpoint == "POST /v1/handoffs/{handoff}/decisions":
                continue  # one department's to decide; its answer has nothing of a person
            if endpoint == "GET /v1/diff/{identifier:path}":
                continue  # it names fields as values; test_what_is_hidden_is_in_no_answer looks into it
            full = (await world.ask(endpoint, token("auditor", "marketing-planner"))).json()
            shown = (await world.ask(endpoint, token(role))).json() if endpoint != "POST /v1/events" else full
            hidden = WINDOWS[department].hidden
            gone = {path for path in fields(full) if any(f".{path}.".count(f".{one}.") for one in hidden)}
            seen = {path for path in fields(shown) if path.rpartition(".")[2] != "hidden"}
            assert seen == fields(full) - gone, (endpoint, role)
            assert {path for path in shown.get("hidden", ()) if not path.startswith("identifiers.")} <= hidden
            assert bool(gone) <= ("hidden" in shown), (endpoint, role)
            seen_to_be_hidden |= gone
    assert seen_to_be_hidden >= {"milestones.note", "touchpoints.cost", "touchpoints.cost.EUR"}


async def test_what_is_hidden_is_in_no_answer(world: World) -> None:
    for endpoint in sorted(endpoints(world.app) - OPEN):
        if "dead-letters" in endpoint or endpoint == "GET /v1/reads":
            continue
        for role in ("marketing", "marketing-planner"):
            text = (await world.ask(endpoint, token(role))).text
            assert NOTE not in text, endpoint
            assert MAIL not in text, endpoint
        for role in ("sales", "sales-planner"):
            assert str(COST) not in (await world.ask(endpoint, token(role))).text, endpoint
    assert MAIL in (await world.get("/v1/identity/conflicts", "sales")).text
    assert "email (hidden)" in (await world.get("/v1/identity/conflicts", "marketing")).text
    person = (await world.get(f"/v1/identity/persons/{ANA}", "marketing")).json()
    assert person["hidden"] == ["identifiers.email"]
    past = await world.get(f"/v1/identity/persons/{ANA}?at=2026-01-01T00:00:01.5Z", "marketing")
    assert past.status_code == 200
    assert MAIL not in past.text


async def test_asking_by_what_is_hidden_is_refused(world: World) -> None:
    for path in (
        f"journeys/email:{MAIL}",
        f"identity/persons/email:{MAIL}",
        f"identity/explain?a=email:{MAIL}&b={BOB}",
    ):
        assert (await world.get(f"/v1/{path}", "marketing")).status_code == 403, path
        assert (await world.get(f"/v1/{path}", "sales")).status_code == 200, path
    written_as_id = f"journey:{uuid.UUID(bytes=identifier_key('email', MAIL))}"
    assert (await world.get(f"/v1/journeys/{written_as_id}", "sales")).status_code == 200
    assert (await world.get(f"/v1/journeys/{written_as_id}", "marketing")).status_code == 403
    join = {"ruling": "join", "identifiers": [f"email:{MAIL}", BOB]}
    preview = Case("/v1/identity/preview", join)
    assert (await world.ask("POST /v1/identity/preview", token("marketing-planner"), preview)).status_code == 403
    assert (await world.ask("POST /v1/identity/preview", token("sales-planner"), preview)).status_code == 200


async def test_credit_is_not_given_by_what_is_hidden(world: World) -> None:
    windows = world.app.state.context.access.windows()
    for field, refused in (("value", ("channel", "campaign")), ("channel", ("channel",)), ("campaign", ("campaign",))):
        windows["sales"] = Window("sales", frozenset(HIDEABLE[field]))
        for by in ("channel", "campaign"):
            answer = await world.get(f"/v1/attribution?by={by}", "sales")
            assert answer.status_code == (403 if by in refused else 200), (field, by)


async def test_two_roles_see_what_either_sees(world: World) -> None:
    both = (await world.get(f"/v1/journeys/{ANA}", "marketing", "sales")).json()
    assert both == (await world.get(f"/v1/journeys/{ANA}", "auditor")).json() | {"as_of": both["as_of"]}
    letters = (await world.get("/v1/dead-letters", "marketing", "sales")).json()["items"]
    assert {letter["topic"] for letter in letters} == {world.topics["marketing"], world.topics["sales"]}


async def test_dead_letters_are_their_department_s(world: World) -> None:
    for role, owner in (*DEPARTMENTS.items(), ("auditor", None)):
        found = {letter["topic"] for letter in (await world.get("/v1/dead-letters", role)).json()["items"]}
        assert found == ({world.topics[owner]} if owner else set(world.topics.values()))
        for other, topic in world.topics.items():
            answer = await world.get(f"/v1/dead-letters/{topic}/2/0", role)
            assert answer.status_code == (200 if owner in (None, other) else 404)


async def test_a_ruling_is_by_whoever_rules(world: World) -> None:
    answer = await world.ask("POST /v1/identity/rulings", token("sales-planner", sub="uma"))
    assert answer.status_code == 201
    topic, place = world.topics["joint"], answer.json()["event"]
    assert place["topic"] == topic
    await project(world.kafka, world.database_url, len(_EVENTS) + 1)
    explained = (await world.get(f"/v1/identity/explain?a={ANA}&b={BOB}", "sales")).json()
    assert explained["ruling"]["by"] == "uma"


def event(number: int, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(body(number, **more))
    return found


async def test_keys_write_their_department_s_topic(world: World) -> None:
    _, text = await world.key("sales", "crm")
    _, anywhere = await world.key("sales")

    async def status(owner: str, credentials: str, wanted: Any = None) -> Any:
        case = Case(f"/v1/events?owner={owner}", wanted or event(60, type_="lead_accepted", source="crm", data={}))
        answer = await world.ask("POST /v1/events", credentials, case)
        return answer.json()["results"] if answer.status_code == 200 else answer.status_code

    assert (await status("sales", text))[0]["status"] == "accepted"
    assert await status("marketing", text) == await status("joint", text) == 403
    answers = await status("sales", text, [event(61, type_="lead_accepted", source="web", data={})])
    assert (answers[0]["status"], answers[0]["reason"]) == ("rejected", "source_not_allowed")
    for role in sorted(ROLES):
        planner = role.endswith("planner")
        assert await status("sales", token(role)) == 403
        assert (await status("joint", token(role), _handoff(by="somebody")) == 403) != planner
    assert (await status("sales", anywhere, [event(63, type_="lead_accepted", data={})]))[0]["status"] == "accepted"


def _handoff(**data: Any) -> dict[str, Any]:
    return event(62, type_="handoff_offered", data={"handoff": "h1", **data})


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (event(62, type_="identity_joined", who={"user_id": "x", "email": "v@x.org"}, data={"by": "planner"}), "type"),
        (event(62, type_="identity_split", who={"user_id": "x", "email": "v@x.org"}, data={"by": "planner"}), "type"),
        (event(62, type_="something_else", data={"by": "planner"}), "type"),
        (_handoff(by="the boss"), "data.by"),
        (_handoff(), "data.by"),
        (_handoff(by="planner") | {"consent": {"email": True}}, "consent"),
        (
            _handoff(by="planner")
            | {"identities": [{"type": "user_id", "value": "x"}, {"type": "email", "value": "v@x.org"}]},
            "identities",
        ),
    ],
)
async def test_people_decide_in_their_own_name_and_nothing_by_the_way(
    world: World, wanted: dict[str, Any], field: str
) -> None:
    mine = token("sales-planner", sub="planner")
    [answer] = (await world.ask("POST /v1/events", mine, Case("/v1/events?owner=joint", wanted))).json()["results"]
    assert (answer["status"], answer["reason"], answer["field"]) == ("rejected", "not_allowed", field)
    case = Case("/v1/events?owner=joint", _handoff(by="planner"))
    [answer] = (await world.ask("POST /v1/events", mine, case)).json()["results"]
    assert answer["status"] == "accepted"


async def test_keys_that_are_none(world: World) -> None:
    key_id, text = await world.key("marketing")
    last = "A" if text[-1] != "A" else "B"
    almost = [
        text[:-1] + last,
        text + "A",
        text[:-1],
        text.upper(),
        f"tdm_{key_id}_",
        "tdm_",
        f"tdm_{'0' * 12}_{text[17:]}",
    ]
    assert (await world.ask("POST /v1/events", text)).status_code == 200
    for wrong in almost:
        assert (await world.ask("POST /v1/events", wrong)).status_code == 401, wrong


async def test_keys_begin_and_end_within_seconds(world: World) -> None:
    _, short = await world.key("marketing", lifetime=timedelta(milliseconds=1))
    old_id, old = await world.key("marketing")
    other_id, other = await world.key("marketing")

    async def works(text: str) -> bool:
        return (await world.ask("POST /v1/events", text)).status_code == 200

    async def changes(text: str, to: bool) -> float:
        began = time.monotonic()

        async def changed() -> bool:
            return await works(text) is to

        await until(changed)
        return time.monotonic() - began

    assert not await works(short)
    assert await works(old)
    following, again = new_key(), new_key()
    async with world.database() as connection:
        await follow_key(connection, old_id, following.key_id, following.hash, timedelta(hours=24))
        await follow_key(connection, other_id, again.key_id, again.hash, timedelta())
    assert await changes(following.text, to=True) < 5
    assert await works(old)
    assert await works(again.text)
    assert not await works(other)
    async with world.database() as connection:
        await revoke_key(connection, following.key_id)
    assert await changes(following.text, to=False) < 5


async def test_reads_are_recorded_with_who_what_and_whom(world: World) -> None:
    assert (await world.get(f"/v1/journeys/{ANA}?access_token=secret", "sales")).status_code == 422
    journey = (await world.get(f"/v1/journeys/{ANA}", "sales")).json()
    await world.get("/v1/journeys?limit=1", "marketing", "sales")
    await world.ask("POST /v1/identity/preview", token("sales-planner", sub="uma"))
    one, page, preview = await world.recorded()
    assert (one["reader"], one["role"]) == ("rosa", "sales")
    assert one["endpoint"] == "GET /v1/journeys/{identifier:path}"
    assert json.loads(one["asked"]) == {"identifier": ANA}
    assert [str(found) for found in one["journeys"]] == [journey["journey_id"]]
    assert (page["role"], json.loads(page["asked"]), len(page["journeys"])) == ("marketing,sales", {"limit": "1"}, 1)
    assert preview["reader"] == "uma"
    assert json.loads(preview["asked"]) == {"ruling": "join", "identifiers": [ANA, BOB]}
    assert len(preview["journeys"]) >= 2
    found = (await world.get(f"/v1/reads?person=email:{MAIL}&reader=rosa&since=2020-01-01T00:00:00Z", "auditor")).json()
    assert [item["asked"] for item in found["items"]][-1] == {"identifier": ANA}
    first = (await world.get("/v1/reads?limit=2", "auditor")).json()
    second = (await world.get(f"/v1/reads?limit=2&cursor={first['next_cursor']}", "auditor")).json()
    assert len(first["items"]) == len(second["items"]) == 2
    assert (await world.get("/v1/reads?since=2100-01-01T00:00:00Z", "auditor")).json()["items"] == []


async def test_many_reads_are_all_recorded(world: World) -> None:
    answers = await asyncio.gather(*(world.get(f"/v1/journeys/{ANA}", "sales") for _ in range(60)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(await world.recorded()) == 60


async def test_what_cannot_be_recorded_is_not_answered(world: World) -> None:
    async with world.database() as connection:
        await connection.execute("ALTER TABLE reads RENAME TO reads_away")
    answer = await world.get(f"/v1/journeys/{ANA}", "sales")
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert (await world.get("/v1/funnel", "sales")).status_code == 200


async def test_credentials_that_are_given_wrongly(world: World) -> None:
    good = token("auditor")
    wrong: list[list[tuple[str, str]]] = [
        [],
        [("Authorization", good)],
        [("Authorization", f"Basic {good}")],
        [("Authorization", f"Bearer  {good}")],
        [("Authorization", f"Bearer {good}, Bearer {good}")],
        [("Authorization", f"Bearer {good}"), ("Authorization", f"Bearer {token('sales')}")],
        [("X-Authorization", f"Bearer {good}")],
        [("Cookie", f"access_token={good}")],
    ]
    for headers in wrong:
        answer = await world.client.get(
            f"/v1/journeys?access_token={good}&Authorization=Bearer%20{good}", headers=headers
        )
        assert answer.status_code == 401, headers
        assert answer.headers["www-authenticate"] == "Bearer"
    assert (await world.client.get("/v1/journeys", headers=[("AUTHORIZATION", f"bearer {good}")])).status_code == 200


async def test_the_log_says_why_and_nothing_else(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    credentials = token("marketing", sub="rosa@company.example")
    await world.ask("GET", credentials, Case(f"/v1/journeys/email:{MAIL}"))
    await world.client.get(f"/v1/journeys/email:{MAIL}")
    said = capsys.readouterr().out
    assert "asks by an identifier that is hidden" in said
    assert "no credentials" in said
    for secret in (MAIL, credentials, "rosa@company"):
        assert secret not in said


async def test_without_an_issuer_keys_alone_are_taken(kafka_settings: KafkaSettings, database_url: str) -> None:
    app = create_app(database_url=database_url, kafka=None, access=AccessSettings())
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            assert (await client.get("/v1/funnel", headers=bearer(token("auditor")))).status_code == 401


async def test_an_issuer_that_does_not_answer_is_no_fault_of_the_token(database_url: str, tmp_path: Path) -> None:
    access = AccessSettings(OidcSettings(ISSUER, AUDIENCE, str(tmp_path / "none")))
    app = create_app(database_url=database_url, kafka=None, access=access)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            assert (await client.get("/v1/funnel", headers=bearer(token("auditor")))).status_code == 503


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "localhost:8765"}, 200),
        ({"host": "127.0.0.1"}, 200),
        ({"host": "[::1]:8765"}, 200),
        ({"host": "127.0.0.1", "origin": "http://localhost:3000"}, 200),
        ({"host": "evil.example"}, 403),
        ({"host": "127.0.0.1.evil.example"}, 403),
        ({"host": "localhost.evil.example:8765"}, 403),
        ({"host": "192.168.0.7:8765"}, 403),
        ({"host": "0.0.0.0"}, 403),  # noqa: S104 (nothing listens there)
        ({"host": ""}, 403),
        ({"host": "[::1"}, 403),
        ({"host": "evil.example", "x-forwarded-host": "localhost"}, 403),
        ({"host": "localhost", "origin": "https://evil.example"}, 403),
        ({"host": "localhost", "origin": "null"}, 403),
    ],
)
async def test_while_access_is_off_only_this_machine_is_answered(
    database_url: str, headers: dict[str, str], status: int
) -> None:
    app = create_app(database_url=database_url, kafka=None)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            assert (await client.get("/v1/funnel", headers=headers)).status_code == status
            assert (await client.get("/healthz", headers=headers)).status_code == 200


async def raw(port: int, request: bytes) -> bytes:
    """What a server answers to these bytes until it closes the connection: at the latest, after a while."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.read(), 30)
    finally:
        writer.close()


_PATHS = (
    *("/v1/journeys", "/v1/identity/../journeys", "//v1/journeys", "/v1//journeys", "/./v1/journeys", "/V1/journeys"),
    *("/healthz/../v1/journeys", "/healthz/%2e%2e/v1/journeys", "/healthz%2f..%2fv1%2fjourneys", "/%76%31/journeys"),
    *("/v1/journeys/..%2f", "/v1/journeys;/healthz", "/v1/journeys?/healthz", "/v1/journeys#/healthz", "/v1/journeys/"),
    *("/v1/journeys%00", "/v1/journeys%0a", "http://localhost/v1/journeys", "http://localhost/healthz/../v1/journeys"),
)
_FORWARDED = ("X-Original-URL: /healthz", "X-Rewrite-URL: /healthz", "X-Forwarded-Prefix: /healthz")
_UPGRADE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: QUFBQQ==")
_INSIDE = "GET /v1/journeys HTTP/1.1\r\nHost: x"
TRICKS = [
    *(f"GET {path} HTTP/1.1" for path in _PATHS),
    *(f"{method} /v1/journeys HTTP/1.1" for method in ("HEAD", "OPTIONS", "POST", "TRACE", "get", "PROPFIND")),
    "\r\n".join(
        ("GET /v1/journeys HTTP/1.1", *_FORWARDED, "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: localhost")
    ),
    "\r\n".join(("GET /healthz HTTP/1.1", "X-Original-URL: /v1/journeys", "X-HTTP-Method-Override: GET")),
    "\r\n".join(("GET /v1/journeys HTTP/1.1", *_UPGRADE)),
    "GET /v1/journeys HTTP/1.0",
    f"GET /healthz HTTP/1.1\r\nContent-Length: 0\r\n\r\n{_INSIDE}",
    f"POST /healthz HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{_INSIDE}",
]


@pytest.mark.slow
async def test_nothing_gets_around(world: World) -> None:
    """Raw requests to a real server: without credentials, and as somebody who may not."""
    _, key = await world.key("marketing")
    port = free_port()
    async with served(world.app, port):
        allowed = f"GET /v1/journeys HTTP/1.0\r\nAuthorization: Bearer {token('auditor')}\r\n\r\n"
        assert b"journey_id" in await raw(port, allowed.encode())
        for credentials in ("", f"Authorization: Bearer {key}\r\n", f"Authorization: Bearer {key}\r\n" * 2):
            answers = await asyncio.gather(*(raw(port, _with(trick, credentials)) for trick in TRICKS))
            for trick, answer in zip(TRICKS, answers, strict=True):
                assert _statuses(answer), trick
                assert b"journey_id" not in answer, trick
                assert b'"items"' not in answer, trick
                for status in _statuses(answer):
                    assert status >= 400 or b'"status":"ok"' in answer, (trick, answer)


def _with(trick: str, credentials: str) -> bytes:
    line, _, rest = trick.partition(" HTTP/1.")
    return f"{line} HTTP/1.{rest}\r\nHost: localhost\r\n{credentials}Connection: close\r\n\r\n".encode()


def _statuses(answer: bytes) -> list[int]:
    return [int(line.split(b" ")[1]) for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.")]


async def test_websockets_are_closed(world: World) -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    await world.app({"type": "websocket", "path": "/v1/journeys", "headers": [], "query_string": b""}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


async def test_a_stream_ends_with_its_token(world: World) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"."
            await asyncio.sleep(0.05)

    async def changes(_: Request) -> StreamingResponse:
        return StreamingResponse(endless())

    world.app.router.routes.insert(0, Route("/v1/changes", changes))
    began = time.monotonic()
    answer = await world.client.get(
        "/v1/changes", headers=bearer(token("sales", exp=time.time() + 1 - LEEWAY)), timeout=20
    )
    assert answer.status_code == 200
    assert answer.content
    assert time.monotonic() - began < 10


async def test_the_sdk_carries_tokens_and_keys(world: World) -> None:
    _, key = await world.key("marketing")
    port = free_port()
    async with served(world.app, port):
        address = f"http://127.0.0.1:{port}"
        async with AsyncClient(address, token=token("auditor")) as client:
            assert (await client.journey("user_id", "ana"))["identifiers"]
            assert [read["reader"] async for read in client.reads(person=ANA)] == ["rosa"]
            assert key not in repr(client) + repr(vars(client))
        async with AsyncProducer(owner="marketing", source="web", http=address, api_key=key) as producer:
            receipt = await (await producer.emit(events.LeadCaptured(), identities={"user_id": "zoe"}))
            assert receipt.topic == world.topics["marketing"]
            assert key not in repr(producer)
        producer = await AsyncProducer(owner="sales", source="web", http=address, api_key=key).start()
        refused = await producer.emit(events.LeadAccepted(), identities={"user_id": "zoe"})
        with pytest.raises(DeliveryFailed, match="403"):
            await refused
        with pytest.raises(Undelivered):
            await producer.close()


@pytest.mark.slow
@pytest.mark.parametrize("role", sorted(ROLES))
async def test_whatever_the_description_allows_gets_an_answer(world: World, role: str) -> None:
    """As in test_http.py, with access on and each role."""
    schema = schemathesis.openapi.from_dict((await world.get("/openapi.json", role)).json())
    for operation in schema.get_all_operations():
        for case in _generated(operation.ok()):
            request = case.as_transport_kwargs(base_url="http://api")
            answer = await world.client.request(
                request["method"],
                request["url"],
                params=request.get("params"),
                content=request.get("data") if isinstance(request.get("data"), bytes) else None,
                headers=bearer(token(role)),
            )
            assert answer.status_code < 500, (case, answer.text)


def _generated(operation: Any) -> list[Any]:
    found: list[Any] = []

    @settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def collect(case: Any) -> None:
        found.append(case)

    given(case=operation.as_strategy())(collect)()
    return found
