"""`tandem identity` and the SDK's identity calls against a running API and worker."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import asyncpg
import pytest
import uvicorn

from api.app import create_app
from deploy.embedded.process import free_port
from streams.kafka import KafkaSettings
from tandem import AsyncClient, ConfirmationNeeded, Identifier, NotFound
from tests.commands import Done, command
from tests.support import body, counts, produce, until, worker

_EVENTS = [
    ("marketing", 0, body(1, who={"user_id": "ana", "email": "ana@x.org"})),
    ("marketing", 1, body(2, who={"user_id": "bob"})),
    ("marketing", 2, body(3, who={"user_id": "ana", "anonymous_id": "ipad"})),
    ("marketing", 2, body(4, who={"user_id": "bob", "anonymous_id": "ipad"}, occurred_at="2026-01-02T00:00:00Z")),
    *[("marketing", 0, body(100 + n, who={"user_id": f"many{n % 2}"})) for n in range(220)],
]


class Stack(NamedTuple):
    """An API and a worker."""

    address: str
    connection: asyncpg.Connection

    async def tandem(self, *arguments: str) -> Done:
        """Run `tandem identity` as a user would."""
        return await command({"TANDEM_API": self.address, "COLUMNS": "200"}, "identity", *arguments)

    async def json(self, *arguments: str) -> Any:
        """The JSON that a command prints."""
        done = await self.tandem(*arguments, "--json")
        assert done.code == 0, done.err
        return json.loads(done.out)

    async def applied(self, records: int) -> None:
        """Wait until so many records were read."""

        async def read() -> bool:
            return (await counts(self.connection))["read"] >= records

        await until(read)


@pytest.fixture
async def stack(kafka_settings: KafkaSettings, database_url: str) -> AsyncIterator[Stack]:
    """Ana and Bob share a tablet; two more people have many events."""
    await produce(kafka_settings, _EVENTS)
    port = free_port()
    app = create_app(database_url=database_url, kafka=kafka_settings)
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", ws="none"))
    connection = await asyncpg.connect(database_url)
    async with worker(kafka_settings, database_url):
        serving = asyncio.create_task(server.serve())
        found = Stack(f"http://127.0.0.1:{port}", connection)
        await found.applied(len(_EVENTS))
        try:
            yield found
        finally:
            server.should_exit = True
            await serving
            await connection.close()


async def test_a_person_is_shown_explained_joined_and_split(stack: Stack) -> None:
    shown = await stack.tandem("show", "user_id:ana")
    assert "user_id:ana = email:ana@x.org, login" in shown.out
    assert "refused (contested)" in shown.out
    apart = await stack.tandem("explain", "user_id:ana", "user_id:bob")
    assert "not one person: several people use the device" in apart.out
    assert "marketing.events/2/0" in apart.out
    assert {one["reason"] for one in await stack.json("conflicts")} == {"contested"}
    before = await stack.json("show", "user_id:bob")
    preview = await stack.json("join", "user_id:ana", "user_id:bob", "--preview")
    assert (len(preview["before"]), len(preview["after"])) == (3, 1)
    joined = await stack.tandem("join", "user_id:ana", "user_id:bob", "--reason", "one Ana", "--by", "ops")
    assert joined.code == 0
    assert "3 journeys become 1" in joined.out
    await stack.applied(len(_EVENTS) + 1)
    why = await stack.tandem("explain", "user_id:ana", "user_id:bob")
    assert "are one person" in why.out
    assert "ruling: join by ops: one Ana" in why.out
    assert (await stack.tandem("split", "user_id:ana", "user_id:bob")).code == 0
    await stack.applied(len(_EVENTS) + 2)
    after = await stack.json("show", "user_id:bob")
    assert after.pop("split_by_ruling") == [["user_id:ana", "user_id:bob"]]
    assert after == {name: value for name, value in before.items() if name != "split_by_ruling"}


async def test_much_is_moved_only_with_yes(stack: Stack) -> None:
    refused = await stack.tandem("join", "user_id:many0", "user_id:many1")
    assert refused.code == 1
    assert "give --yes" in refused.err
    assert "110 events move" in refused.out
    assert (await stack.tandem("join", "user_id:many0", "user_id:many1", "--yes")).code == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["show", "user_id:ghost"], "no journey found for user_id:ghost"),
        (["show", "ghost"], "write type:value"),
        (["show", "user_id:\udce9"], "not UTF-8"),
        (["show", "user_id:ana", "--at", "yesterday"], "at"),
        (["join", "user_id:ana", "user_id:null"], "names nobody"),
        (["join", "user_id:ana", "user_id:ana"], "two or more"),
        (["split", "user_id:ana"], "two or more"),
    ],
    ids=lambda value: ascii(" ".join(value)) if isinstance(value, list) else "",
)
async def test_mistakes_get_one_line(stack: Stack, arguments: list[str], says: str) -> None:
    done = await stack.tandem(*arguments)
    assert done.code == 1
    assert says in done.err
    assert len(done.err.strip().splitlines()) == 1


async def test_the_sdk_asks_and_rules(stack: Stack) -> None:
    many = [Identifier("user_id", "many0"), Identifier("user_id", "many1")]
    async with AsyncClient(stack.address) as client:
        ana = await client.identity(Identifier("user_id", "ana"))
        assert {one.value for one in ana.identifiers} == {"ana", "ana@x.org"}
        assert (await client.explain_identity(*ana.identifiers)).one_person
        assert len([one async for one in client.identity_conflicts()]) == 2
        assert [one async for one in client.quarantine()] == []
        with pytest.raises(NotFound, match="ghost"):
            await client.identity(Identifier("user_id", "ghost"))
        with pytest.raises(ConfirmationNeeded, match="110 events"):
            await client.rule("join", many)
        ruled = await client.rule("join", many, confirm=True)
        assert ruled.event.topic.endswith("joint.events")
        await stack.applied(len(_EVENTS) + 1)
        assert (ruling := (await client.explain_identity(*many)).ruling) is not None
        assert ruling.ruling == "join"
