"""Keys, tokens, and the record of who has read what with them."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from api.access.caller import AccessSettings
from api.access.keys import new_key
from api.access.policy import ROLES
from api.access.tokens import LEEWAY, OidcSettings
from api.app import create_app
from deploy.embedded.process import free_port
from store.keys import follow_key, revoke_key
from streams.kafka import KafkaSettings
from tandem import AsyncClient, AsyncProducer, DeliveryFailed, Identifier, Undelivered, events
from tests.api.tokens import AUDIENCE, ISSUER, bearer, token
from tests.api.world import ANA, BOB, MAIL, Case, World
from tests.support import body, served, until


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
    [answer] = (await world.ask("POST /v1/events", mine, Case("/v1/events?department=joint", wanted))).json()["results"]
    assert (answer["status"], answer["reason"], answer["field"]) == ("rejected", "not_allowed", field)
    case = Case("/v1/events?department=joint", _handoff(by="planner"))
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
            assert (await client.journey(Identifier("user_id", "ana"))).identifiers
            assert [read.reader async for read in client.reads(person=Identifier.parse(ANA))] == ["rosa"]
            assert key not in repr(client) + repr(vars(client))
        async with AsyncProducer(department="marketing", source="web", http=address, api_key=key) as producer:
            receipt = await (await producer.emit(events.LeadCaptured(), identities=[Identifier("user_id", "zoe")]))
            assert receipt.topic == world.topics["marketing"]
            assert key not in repr(producer)
        producer = await AsyncProducer(department="sales", source="web", http=address, api_key=key).start()
        refused = await producer.emit(events.LeadAccepted(), identities=[Identifier("user_id", "zoe")])
        with pytest.raises(DeliveryFailed, match="403"):
            await refused
        with pytest.raises(Undelivered):
            await producer.close()
