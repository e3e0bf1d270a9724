"""The joint playbook by HTTP, SDK and command: one department alone changes nothing, what-if foretells exactly."""

import json
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import asyncpg
import msgspec
import pytest

from api.app import create_app
from deploy.embedded.process import free_port
from streams.engine.live_rules import LiveRules
from streams.kafka import KafkaSettings
from tandem import ApiError, AsyncClient, NotFound, answers
from tandem.terms import Department
from tests.commands import Done, command
from tests.plans import EAGER, TEXT, approve, propose
from tests.support import RULES, body, counts, produce, served, until, worker

#: Who has bought and used nothing for two days is at risk; a form makes a marketing-qualified lead.
_PLAN = EAGER.replace("of: usage_reported, days: 60", "of: usage_reported, days: 2")
_PEOPLE = 40


class World(NamedTuple):
    """The running parts, and who asks them."""

    kafka: KafkaSettings
    database_url: str
    address: str
    client: AsyncClient


@pytest.fixture
async def world(kafka_settings: KafkaSettings, database_url: str) -> AsyncIterator[World]:
    app, port = create_app(database_url=database_url, kafka=kafka_settings), free_port()
    await produce(kafka_settings, [(owner, n % 3, value) for n, (owner, value) in enumerate(_history())])
    address = f"http://127.0.0.1:{port}"
    async with worker(kafka_settings, database_url), served(app, port), AsyncClient(address) as client:
        connection = await asyncpg.connect(database_url)

        async def projected() -> bool:
            return (await counts(connection))["read"] >= len(_history())

        await until(projected)
        await connection.close()
        yield World(kafka_settings, database_url, address, client)


def _history() -> list[tuple[str, bytes]]:
    """People who sent a form a week ago; every second one bought and used what they bought within the last days."""
    found, now = [], datetime.now(UTC).replace(microsecond=0)
    for n in range(_PEOPLE):
        who = {"user_id": f"u{n}"}
        week_ago = (now - timedelta(days=7, minutes=n)).isoformat()
        found.append(("marketing", body(n, "form_submitted", who=who, occurred_at=week_ago, data={"form": "f"})))
        if n % 2:
            recently = (now - timedelta(hours=3 * n)).isoformat()
            won = body(100 + n, "opportunity_won", who=who, occurred_at=recently, source="crm", version=2)
            event = msgspec.json.decode(won) | {"data": {"amount": 5, "currency": "EUR"}}
            found.append(("sales", msgspec.json.encode(event)))
            found.append(("sales", body(200 + n, "usage_reported", who=who, occurred_at=recently, source="crm")))
    return found


async def _state(client: AsyncClient, proposal: str, decisions: int) -> answers.Proposal:
    """A proposal once so many words on it are projected."""

    async def there() -> bool:
        try:
            return len((await client.proposal(proposal)).decisions) >= decisions
        except NotFound:
            return False

    await until(there)
    return await client.proposal(proposal)


async def test_one_department_alone_cannot_change_the_playbook(world: World) -> None:
    """By HTTP it is refused; an event in its own topic is a dead letter; a second approval is kept, and void."""
    client = world.client
    before = await client.playbook()
    made = await client.propose_playbook(_PLAN, department="marketing", by="mia", comment="forms qualify")
    proposal = made.proposal
    assert (await _state(client, proposal, 0)).state == "open"
    await client.decide_playbook(proposal, "approve", department="marketing", by="mia")
    await _state(client, proposal, 1)
    with pytest.raises(ApiError, match="marketing has approved it before"):
        await client.decide_playbook(proposal, "approve", department="marketing", by="max")
    sneaked = [("marketing", 0, approve(7, proposal, datetime.now(UTC).isoformat(), "sales", _PLAN)[1])]
    forged = approve(8, proposal, datetime.now(UTC).isoformat(), "marketing", _PLAN)
    await produce(world.kafka, [*sneaked, ("joint", 1, forged[1])])
    found = await _state(client, proposal, 2)
    assert [one.because for one in found.decisions] == [None, "marketing has approved it before"]
    connection = await asyncpg.connect(world.database_url)
    assert await connection.fetchval("SELECT reason FROM dead_letters") == "wrong_owner"
    await connection.close()
    assert (await client.playbook()) == before
    await client.decide_playbook(proposal, "approve", department="sales", by="sam")
    assert (await _state(client, proposal, 3)).state == "in-force"
    assert (await client.playbook()).playbook == _PLAN


async def test_what_if_foretells_exactly_what_approving_then_does(world: World) -> None:
    client = world.client
    effective_at = (datetime.now(UTC) + timedelta(seconds=4)).isoformat()
    heard: list[tuple[int, int]] = []
    told = await client.what_if(_PLAN, since=effective_at, tell=lambda *found: heard.append(found))
    made = await client.propose_playbook(_PLAN, department="sales", by="sam", effective_at=effective_at)
    departments: tuple[Department, ...] = ("sales", "marketing")
    for n, department in enumerate(departments):
        await _state(client, made.proposal, n)
        await client.decide_playbook(made.proposal, "approve", department=department, by="lead")

    async def in_force() -> bool:
        found = await client.playbook()
        return bool(found.proposal == made.proposal and not found.following)

    await until(in_force)
    stages = Counter([journey.stage async for journey in client.journeys()])
    then = told.funnel.then
    foretold = {one.stage: one.now for one in then.stages} | then.beside
    assert stages == {stage: count for stage, count in foretold.items() if count}
    assert stages["at-risk"] > 0
    funnel = (await client.funnel()).total
    assert [(one.stage, one.reached) for one in funnel.stages] == [(one.stage, one.reached) for one in then.stages]
    assert told.changed == stages["at-risk"]
    assert sum(move.journeys for move in told.moves) == told.changed


async def test_what_if_it_had_been_in_force_for_a_month(world: World) -> None:
    since = (datetime.now(UTC) - timedelta(days=30)).isoformat()
    told = await world.client.what_if(_PLAN, since=since)
    qualified = next(one for one in told.funnel.then.stages if one.stage == "marketing-qualified")
    assert qualified.reached == _PEOPLE
    assert {(one.stage_from, one.stage_to) for one in told.moves} == {
        ("engaged", "marketing-qualified"),
        ("customer", "at-risk"),
    }
    assert (await world.client.playbook()).proposal is None


async def test_what_cannot_be_is_refused_in_one_line(world: World) -> None:
    client, past = world.client, (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    for playbook, more, said in (
        (TEXT.replace("score:\n", "scores:\n"), {}, r"scores \(line \d+, column 1\): there is no such field"),
        (
            TEXT.replace("from: [customer, won-back]", "from: [customers]"),
            {},
            r"line \d+.*no stage is named 'customers'",
        ),
        (TEXT.replace("breaker: 200", "breaker: 90"), {}, "changes 'identity'"),
        (
            TEXT.replace("from: [customer, won-back]", "from: [won-back]").replace(
                "from: [customer, at-risk, won-back]", "from: [at-risk]"
            ),
            {},
            r"line \d+.*'at-risk' cannot be reached",
        ),
        (TEXT.replace("mon: [09:00-17:00]", "mon: [09:00-17:00, 16:00-18:00]"), {}, r"line \d+.*hours overlap"),
        (TEXT.replace("remind: 2h", "remind: 6h"), {}, r"line \d+.*'remind' must come before 'first_touch'"),
        (_PLAN, {"effective_at": past}, "effective_at is in the past"),
        (_PLAN, {"effective_at": "tomorrow"}, "effective_at: write a time"),
        (_PLAN, {"department": None}, "give `department` and `by`"),
    ):
        with pytest.raises(ApiError, match=said):
            await client.propose_playbook(playbook, **{"department": "sales", "by": "sam"} | more)
    nothing = str(uuid.UUID(int=9))
    with pytest.raises(NotFound, match="there is no proposal"):
        await client.decide_playbook(nothing, "approve", department="sales", by="sam")
    await produce(world.kafka, [("joint", 0, approve(3, 77, past, "sales")[1])])

    async def kept() -> bool:
        return len((await client.proposals()).stray) == 1

    await until(kept)


async def test_a_rejected_proposal_stays_rejected(world: World) -> None:
    client = world.client
    made = await client.propose_playbook(_PLAN, department="marketing", by="mia")
    await _state(client, made.proposal, 0)
    await client.decide_playbook(made.proposal, "reject", department="sales", by="sam", text="not in August")
    found = await _state(client, made.proposal, 1)
    assert (found.state, found.reason) == ("rejected", "not in August")
    with pytest.raises(ApiError, match="the proposal was rejected"):
        await client.decide_playbook(made.proposal, "approve", department="marketing", by="mia")


async def _tandem(address: str, *arguments: str) -> Done:
    return await command({"TANDEM_API": address, "COLUMNS": "200"}, "playbook", *arguments)


async def test_the_commands(world: World, tmp_path: Path) -> None:
    plan, page = tmp_path / "plan.yaml", tmp_path / "page.html"
    plan.write_text(_PLAN, "utf-8")

    async def run(*arguments: str) -> Done:
        return await _tandem(world.address, *arguments)

    assert (await run("show")).out.startswith("name: default")
    found = await run("diff", str(plan))
    assert found.code == 1
    assert "+- name: curious" in found.out
    assert "Copy it, change it" not in found.out  # comments are no rules
    proposed = await run("propose", str(plan), "--department", "marketing", "--by", "mia", "--comment", "forms qualify")
    proposal = proposed.out.split()[1]
    assert (await run("comment", proposal, "how many?", "--department", "sales", "--by", "sam")).code == 0
    told = await run("what-if", proposal, "--since", "2026-01-01T00:00:00Z", "-o", str(page), "--json")
    assert json.loads(told.out)["changed"] > 0
    html = page.read_text("utf-8")
    assert "<svg" in html
    assert "http" not in html.replace("http-equiv", "")  # it needs nothing else
    assert (await run("approve", proposal, "--department", "marketing", "--by", "mia")).code == 0
    assert "in-force" in (await run("approve", proposal, "--department", "sales", "--by", "sam")).out
    again = await run("approve", proposal, "--department", "sales", "--by", "sam")
    assert (again.code, again.err.count("\n")) == (1, 1)
    log = await run("log")
    assert all(word in log.out for word in ("forms qualify", "how many?", "approve"))
    assert [one["by"] for one in json.loads((await run("log", "--json")).out)["items"][0]["decisions"]] == [
        "sam",
        "mia",
        "sam",
    ]
    assert (await run("show")).out.strip() == _PLAN.strip()
    missing = await run("propose", str(tmp_path / "none.yaml"), "--department", "sales", "--by", "sam")
    assert (missing.code, missing.err.count("\n")) == (1, 1)


async def test_readers_keep_up_with_what_is_agreed(kafka_settings: KafkaSettings, database_url: str) -> None:
    connection, agreed = await asyncpg.connect(database_url), LiveRules(RULES)
    await agreed.look(connection)
    assert agreed.rules is RULES
    now = datetime.now(UTC).isoformat()
    events = [propose(1, now, _PLAN), approve(2, 1, now, "sales", _PLAN), approve(3, 1, now, "marketing", _PLAN)]
    async with worker(kafka_settings, database_url):
        await produce(kafka_settings, [("joint", 0, value) for _, value in events])

        async def followed() -> bool:
            await agreed.look(connection)
            return len(agreed.rules.terms) == 2 and not agreed.sweeping

        await until(followed)
    await connection.close()
