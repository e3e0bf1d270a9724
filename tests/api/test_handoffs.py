"""Hand-offs and audiences by HTTP, SDK and command: the queue, decisions that count, and those that cannot."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import asyncpg
import pytest

from api.app import create_app
from deploy.embedded.process import free_port
from projections.journey.handoffs import handoff_id
from streams.kafka import KafkaSettings
from tandem import ApiError, AsyncClient, AsyncSubscription, Identifier, NotFound, answers
from tests.commands import Done, command
from tests.support import body, counts, produce, served, until, worker

_PEOPLE = 5
_AGAIN = 60  #: qualifies somebody again: the offer is superseded by the open one


class World(NamedTuple):
    """The running parts."""

    address: str
    client: AsyncClient


def _events() -> list[tuple[str, bytes]]:
    """People who were qualified within the last hours, and one who consented to mails."""
    now, found = datetime.now(UTC), []
    for n in range(_PEOPLE):
        at = (now - timedelta(minutes=10 * n)).isoformat()
        found.append(("marketing", body(n, "lead_qualified", who={"user_id": f"u{n}"}, occurred_at=at)))
    mail = {"user_id": "m", "email": "m@x.org"}
    found.append(("marketing", body(_AGAIN, "lead_qualified", who={"user_id": "u0"}, occurred_at=now.isoformat())))
    found.append(("marketing", body(50, "identified", who=mail, consent={"email": True}, occurred_at=now.isoformat())))
    return found


def _id(number: int) -> str:
    return str(uuid.UUID(bytes=handoff_id("qualified-lead", "web", uuid.UUID(int=number + 1).bytes)))


@pytest.fixture
async def world(kafka_settings: KafkaSettings, database_url: str) -> AsyncIterator[World]:
    app, port = create_app(database_url=database_url, kafka=kafka_settings), free_port()
    events = _events()
    await produce(kafka_settings, [(owner, n % 3, value) for n, (owner, value) in enumerate(events)])
    address = f"http://127.0.0.1:{port}"
    async with worker(kafka_settings, database_url), served(app, port), AsyncClient(address) as client:
        connection = await asyncpg.connect(database_url)

        async def projected() -> bool:
            return (await counts(connection))["read"] >= len(events)

        await until(projected)
        await connection.close()
        yield World(address, client)


async def _state(client: AsyncClient, handoff: str, wanted: str) -> answers.HandoffDetails:
    async def there() -> bool:
        return (await client.handoff(handoff)).handoff.state == wanted

    await until(there)
    return await client.handoff(handoff)


async def test_the_queue_in_pages_and_one_hand_off(world: World) -> None:
    waiting = [item async for item in world.client.handoffs(team="sales")]
    assert {item.handoff.id for item in waiting} == {_id(n) for n in range(_PEOPLE)}
    assert [item.handoff.due_at for item in waiting] == sorted(item.handoff.due_at for item in waiting)
    assert [item async for item in world.client.handoffs(team="marketing")] == []
    one = await world.client.handoff(_id(2))
    assert one.journey.identifiers == (Identifier("user_id", "u2"),)
    assert one.history[0].what == "offered"
    assert one.handoff.event.id == str(uuid.UUID(int=3))
    journey = await world.client.journey(Identifier("user_id", "u2"))
    assert journey.handoffs == (one.handoff,)
    with pytest.raises(NotFound):
        await world.client.handoff(str(uuid.UUID(int=1)))


async def test_decisions_count_and_those_that_cannot_are_refused(world: World) -> None:
    client = world.client
    for decision, more, said in (
        ("accept", {"department": "marketing", "by": "mia"}, "it is sales's to decide"),
        ("withdraw", {"department": "sales", "by": "sam"}, "it is marketing's to decide"),
        ("reject", {"department": "sales", "by": "sam"}, "reason: say why"),
        ("accept", {}, "give `department` and `by`"),
    ):
        with pytest.raises(ApiError, match=said):
            await client.decide_handoff(_id(0), decision, **more)
    await client.decide_handoff(_id(0), "accept", department="sales", by="rosa")
    assert (await _state(client, _id(0), "accepted")).handoff.owner == "rosa"
    with pytest.raises(ApiError, match="the decision would not count: it was accepted before"):
        await client.decide_handoff(_id(0), "accept", department="sales", by="sam")
    with pytest.raises(ApiError, match="the decision would not count: another one took its place"):
        await client.decide_handoff(_id(_AGAIN), "accept", department="sales", by="sam")
    await client.decide_handoff(_id(1), "reject", department="sales", by="rosa", reason="no budget")
    assert (await _state(client, _id(1), "rejected")).handoff.note == "no budget"
    await client.decide_handoff(_id(2), "withdraw", department="marketing", by="mia")
    await _state(client, _id(2), "withdrawn")


async def test_a_decision_about_nothing_is_kept_with_its_reason(world: World, kafka_settings: KafkaSettings) -> None:
    data = {"handoff": "none", "by": "rosa", "department": "sales"}
    at = datetime.now(UTC).isoformat()
    await produce(
        kafka_settings, [("joint", 0, body(90, "handoff_accepted", who={"user_id": "u3"}, data=data, occurred_at=at))]
    )

    async def kept() -> bool:
        return bool((await world.client.journey(Identifier("user_id", "u3"))).ignored_decisions)

    await until(kept)
    journey = await world.client.journey(Identifier("user_id", "u3"))
    assert journey.ignored_decisions[0].because == "there is no such hand-off"
    assert journey.handoffs[0].state == "offered"


async def test_the_feed_tells_of_hand_offs_and_audiences(world: World) -> None:
    """From where the feed is now: what a decision does."""
    told = world.client.subscribe(kind="handoff")
    subscribed = asyncio.create_task(_first(told))

    async def listening() -> bool:
        return told.cursor is not None

    await until(listening)
    await world.client.decide_handoff(_id(3), "accept", department="sales", by="rosa")
    detail = await asyncio.wait_for(subscribed, 30)
    assert detail.handoff == _id(3)
    assert detail.what in ("touched", "accepted")


async def _first(told: AsyncSubscription) -> answers.ChangeDetail:
    async with aclosing(aiter(told)) as changes:
        async for change in changes:
            assert change.kind == "handoff"
            assert change.detail is not None
            return change.detail
    raise AssertionError("it ended")


async def test_audiences(world: World) -> None:
    sizes = {one.audience: one.members for one in (await world.client.audiences()).items}
    assert sizes == {"customers": 0, "nurture": 1, "win-back": 0}
    [member] = [one async for one in world.client.audience("nurture")]
    assert Identifier("email", "m@x.org") in member.identifiers
    with pytest.raises(NotFound):
        [one async for one in world.client.audience("nobody")]


async def _tandem(address: str, *arguments: str) -> Done:
    return await command({"TANDEM_API": address, "COLUMNS": "200"}, *arguments)


async def test_the_commands(world: World) -> None:
    async def run(*arguments: str) -> Done:
        return await _tandem(world.address, *arguments)

    listed = json.loads((await run("handoffs", "--team", "sales", "--json")).out)
    assert len(listed) == _PEOPLE
    table = (await run("handoffs")).out
    assert "qualified-lead" in table
    assert _id(4) in table
    accepted = await run("handoffs", "accept", _id(4), "--as", "sales", "--by", "rosa")
    assert accepted.out.strip() == f"{_id(4)} is accepted"
    shown = (await run("handoffs", "show", _id(4))).out
    assert "rosa has it" in shown
    assert "accepted" in shown
    again = await run("handoffs", "accept", _id(4), "--as", "sales", "--by", "rosa")
    assert (again.code, again.err.count("\n")) == (1, 1)
    assert "nurture" in (await run("audiences")).out
    assert "email:m@x.org" in (await run("audiences", "nurture")).out
    assert (await run("handoffs", "show", "none")).code == 1
