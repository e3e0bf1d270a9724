"""The API over real Kafka and PostgreSQL: pages, problems, ingest, and whatever its own description allows."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import uvicorn

from api.app import create_app
from deploy.embedded.process import free_port
from streams.kafka import KafkaSettings, ensure_topics
from tandem import AsyncProducer, Identifier, InvalidEvent, events
from tests.api.generated import answers
from tests.support import body, produce, project

PEOPLE = 7
NOW = 1_800_000_000_000_000  #: microseconds since 1970 UTC


@pytest.fixture
async def api(kafka_settings: KafkaSettings, database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """The application, with a few journeys and a dead letter behind it."""
    records: list[tuple[str, int, bytes | None]] = [
        ("marketing", n % 3, body(n, "lead_captured", who={"user_id": f"u{n}"}, data={"channel": "fair"}))
        for n in range(PEOPLE)
    ]
    await produce(kafka_settings, [*records, ("sales", 0, b"no event")])
    await project(kafka_settings, database_url, PEOPLE + 1)
    app = create_app(database_url=database_url, kafka=kafka_settings, clock=lambda: NOW)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client


def problem_of(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found["status"] == answer.status_code
    assert {"type", "title", "detail"} <= found.keys()
    return found


async def test_pages_hold_every_journey_once(api: httpx.AsyncClient) -> None:
    seen: list[str] = []
    cursor: str | None = None
    while True:
        parameters = {"limit": "3"} | ({"cursor": cursor} if cursor else {})
        page = (await api.get("/v1/journeys", params=parameters)).json()
        seen += [item["journey_id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == PEOPLE
    assert seen == sorted(seen)


async def test_filters_narrow(api: httpx.AsyncClient) -> None:
    async def count(**parameters: str) -> int:
        return len((await api.get("/v1/journeys", params=parameters)).json()["items"])

    assert await count(channel="fair") == PEOPLE
    assert await count(channel="web") == 0
    assert await count(stage="customer") == 0
    assert await count(changed_since="2020-01-01T00:00:00Z") == PEOPLE
    assert await count(changed_since="2100-01-01T00:00:00Z") == 0


async def test_a_journey_is_found_by_identifier_and_by_id(api: httpx.AsyncClient) -> None:
    journey = (await api.get("/v1/journeys/user_id:u3")).json()
    assert (await api.get(f"/v1/journeys/journey:{journey['journey_id']}")).json() == journey
    assert journey["identifiers"]
    assert journey["touchpoints"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/journeys/user_id:nobody", 404),
        ("/v1/journeys/shoe_size:44", 422),
        ("/v1/journeys/email:null", 422),
        ("/v1/journeys?stage=nonsense", 422),
        ("/v1/journeys?limit=0", 422),
        ("/v1/journeys?ACCOUNT=acme", 422),
        ("/v1/journeys?stage=known&stage=engaged", 422),
        ("/v1/changes?stgae=customer", 422),
        ("/v1/dead-letters/none/0/0?x=1", 422),
        ("/v1/journeys?cursor=zzz", 422),
        ("/v1/journeys?changed_since=2026-01-01T00:00:00", 422),
        ("/v1/funnel?by=weather", 422),
        ("/v1/accounts/none", 404),
        ("/v1/dead-letters/none/0/0", 404),
        ("/v2/journeys", 404),
    ],
)
async def test_problems_are_problem_documents(api: httpx.AsyncClient, path: str, status: int) -> None:
    answer = await api.get(path)
    assert answer.status_code == status
    problem_of(answer)


async def test_dead_letters_keep_their_bytes(api: httpx.AsyncClient) -> None:
    [letter] = (await api.get("/v1/dead-letters")).json()["items"]
    assert letter["reason"] == "not_json"
    answer = await api.get(f"/v1/dead-letters/{letter['topic']}/{letter['partition']}/{letter['offset']}")
    assert answer.content == b"no event"


async def test_each_event_is_answered_for_itself(api: httpx.AsyncClient) -> None:
    sent = b"[" + body(100) + b', {"id": 1},' + body(101) + b"]"
    packed = gzip.compress(sent)
    for content, headers in ((sent, {}), (packed, {"content-encoding": "gzip"})):
        answer = await api.post("/v1/events", params={"department": "marketing"}, content=content, headers=headers)
        statuses = [result["status"] for result in answer.json()["results"]]
        assert statuses == ["accepted", "rejected", "accepted"]
    one = await api.post("/v1/events", params={"department": "marketing"}, content=body(102))
    assert one.json()["results"][0]["offset"] >= 0


@pytest.mark.parametrize(
    ("content", "status"), [(b"[1", 400), (b"[" + b"1," * 2000 + b"1]", 400), (b"x" * (9 * 1024 * 1024), 413)]
)
async def test_bodies_that_are_refused_as_a_whole(api: httpx.AsyncClient, content: bytes, status: int) -> None:
    answer = await api.post("/v1/events", params={"department": "sales"}, content=content)
    assert answer.status_code == status
    problem_of(answer)


async def test_a_packed_bomb_is_refused(api: httpx.AsyncClient) -> None:
    bomb = gzip.compress(b" " * (64 * 1024 * 1024))
    answer = await api.post(
        "/v1/events", params={"department": "sales"}, content=bomb, headers={"content-encoding": "gzip"}
    )
    assert answer.status_code == 413


async def test_without_a_broker_events_are_turned_away(database_url: str) -> None:
    app = create_app(database_url=database_url, kafka=None)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            answer = await client.post("/v1/events", params={"department": "sales"}, content=body(1))
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    problem_of(answer)


async def test_the_description_holds(api: httpx.AsyncClient) -> None:
    description = (await api.get("/openapi.json")).json()
    paths = {"/v1/journeys", "/v1/journeys/{identifier}", "/v1/funnel", "/v1/events", "/v1/dead-letters"}
    assert paths <= description["paths"].keys()
    assert description["openapi"].startswith("3.1")


async def test_whatever_the_description_allows_gets_an_answer(api: httpx.AsyncClient) -> None:
    async for answer in answers(api, "http://localhost", {}, examples=25):
        if answer.status_code >= 400:
            problem_of(answer)


async def test_the_sdk_s_http_transport_keeps_the_producer_s_promises(
    kafka_settings: KafkaSettings, database_url: str
) -> None:
    await ensure_topics(kafka_settings)
    port = free_port()
    app = create_app(database_url=database_url, kafka=kafka_settings)
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", ws="none"))
    serving = asyncio.create_task(server.serve())
    try:
        # emitted before the server answers: the transport tries again until it does
        async with AsyncProducer(department="marketing", source="web", http=f"http://127.0.0.1:{port}") as producer:
            who = [Identifier("user_id", "u1")]
            answers = [await producer.emit(events.LeadCaptured(channel="x"), identities=who) for _ in range(600)]
            with pytest.raises(InvalidEvent, match="identities"):
                await producer.emit(events.LeadCaptured(), identities=[])
        places = [(receipt.partition, receipt.offset) for receipt in [answer.result() for answer in answers]]
        assert places == sorted(places)
        assert len(set(places)) == 600
    finally:
        server.should_exit = True
        await serving
