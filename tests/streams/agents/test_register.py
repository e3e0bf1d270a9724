"""Agents of one's own: the ten lines, at least once, and what happens to those that fail."""

import asyncio
import linecache
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import faust
import httpx
import pytest
import structlog
from aiokafka import TopicPartition

from deploy.embedded.process import free_port
from schemas.rejection import Rejection
from streams.agents.app import NotOffered, create_app
from streams.agents.files import AgentsUnusable, load, register_all
from streams.agents.host import AgentsCrashed
from streams.agents.records import Records
from streams.agents.settings import AgentSettings
from streams.agents.tandem import Tandem
from streams.kafka import KafkaSettings, ensure_topics
from tests.streams.agents.support import (
    agents,
    all_of,
    committed,
    make_topics,
    produce_to,
    transition,
    values_of,
)
from tests.support import until

HELLO = Path(__file__).parents[3] / "examples/agents/hello.py"


def spawn(kafka: KafkaSettings, *names: str, **environment: str) -> "subprocess.Popen[bytes]":
    """`tandem agents` as a process of its own."""
    arguments = [part for name in names for part in ("--agents", name)]
    port = str(free_port())
    return subprocess.Popen(
        [sys.executable, "-c", "from cli.main import main; main()", "agents", "--port", port, *arguments],
        env=os.environ
        | {"TANDEM_KAFKA": kafka.bootstrap, "TANDEM_TOPIC_PREFIX": kafka.topic_prefix, "TANDEM_PARTITIONS": "3"}
        | environment,
        stderr=subprocess.PIPE,
    )


async def test_the_example_runs_as_written(kafka_settings: KafkaSettings) -> None:
    await ensure_topics(kafka_settings)
    await make_topics(kafka_settings, "transitions")
    await produce_to(kafka_settings, "transitions", [transition(1, to="customer"), transition(2, to="lapsed")])
    process = spawn(kafka_settings, str(HELLO))

    async def published() -> bool:
        assert process.poll() is None, process.stderr and process.stderr.read()
        return len(await values_of(kafka_settings, "sales.events")) == 1

    try:
        await until(published)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 30) == 0
    finally:
        process.kill()
        process.communicate()
    [event] = await values_of(kafka_settings, "sales.events")
    assert event["type"] == "welcome_call_planned"
    assert event["identities"] == [{"type": "email", "value": "p0@example.com"}]
    assert await committed(kafka_settings, "transitions", "hello") == 2


async def test_an_agent_that_fails_gets_the_same_record_again_and_the_others_do_not_notice(
    kafka_settings: KafkaSettings,
) -> None:
    await make_topics(kafka_settings, "transitions")
    seen: list[int] = []
    others: list[int] = []

    def failing(app: faust.App, tandem: Tandem) -> None:
        @app.agent(tandem.transitions, name="failing")
        async def failing_agent(changes: Any) -> None:
            async for change in changes:
                seen.append(change["seq"])
                if change["seq"] == 2 and seen.count(2) < 3:
                    raise ValueError("not today")

    def healthy(app: faust.App, tandem: Tandem) -> None:
        @app.agent(tandem.transitions, name="healthy")
        async def healthy_agent(changes: Any) -> None:
            async for change in changes:
                others.append(change["seq"])

    async def done() -> bool:
        return seen[-1:] == [4] and len(others) == 4

    port = free_port()
    with structlog.testing.capture_logs() as logs:
        async with agents(AgentSettings(kafka_settings), failing, healthy, port=port):
            await produce_to(kafka_settings, "transitions", [transition(number) for number in (1, 2, 3, 4)])
            await until(done)
            async with httpx.AsyncClient(trust_env=False) as client:
                shown = (await client.get(f"http://127.0.0.1:{port}/agents")).json()
                assert "failing" in (await client.get(f"http://127.0.0.1:{port}/")).text
                assert (await client.get(f"http://127.0.0.1:{port}/nothing")).status_code == 404
    assert seen == [1, 2, 2, 2, 3, 4]
    assert others == [1, 2, 3, 4]
    assert {found["agent"]: found["failures"] for found in shown} == {"failing": 2, "healthy": 0}
    assert await committed(kafka_settings, "transitions", "failing") == 4
    [place, again] = [line["at"] for line in logs if line["event"] == "agent failed"]
    file, _, number = place.rpartition(":")
    assert (Path(file), place) == (Path(__file__), again)
    assert 'ValueError("not today")' in linecache.getline(file, int(number))


async def test_the_position_stays_before_what_is_not_finished(kafka_settings: KafkaSettings) -> None:
    """What Faust's own agents do not do: a record that fails, or is under way at the end, is not acknowledged."""
    await make_topics(kafka_settings, "transitions")
    await produce_to(kafka_settings, "transitions", [transition(number) for number in (1, 2, 3)])
    seen: list[int] = []

    def register(app: faust.App, tandem: Tandem) -> None:
        @app.agent(tandem.transitions, name="stuck")
        async def stuck(changes: Any) -> None:
            async for change in changes:
                seen.append(change["seq"])
                if change["seq"] == 2:
                    await asyncio.Event().wait()

    async def at_two() -> bool:
        return seen == [1, 2]

    async with agents(AgentSettings(kafka_settings), register):
        await until(at_two)
    assert await committed(kafka_settings, "transitions", "stuck") == 1


async def test_an_agent_whose_loop_ends_is_started_again(kafka_settings: KafkaSettings) -> None:
    await make_topics(kafka_settings, "transitions")
    await produce_to(kafka_settings, "transitions", [transition(number) for number in (1, 2)])
    seen: list[int] = []

    def register(app: faust.App, tandem: Tandem) -> None:
        @app.agent(tandem.transitions, name="leaving")
        async def leaving(changes: Any) -> None:
            async for change in changes:
                seen.append(change["seq"])
                if seen == [1]:
                    return

    async def done() -> bool:
        return seen == [1, 1, 2]

    async with agents(AgentSettings(kafka_settings), register):
        await until(done)


async def test_kill_9_repeats_and_never_skips(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    await make_topics(kafka_settings, "transitions", "out")
    file = tmp_path / "copy_agent.py"
    file.write_text(
        "def register(app, tandem):\n"
        "    @app.agent(tandem.transitions, name='copy')\n"
        "    async def copy(changes):\n"
        "        async for event in changes.events():\n"
        "            await tandem.send(f'{tandem.prefix}.out', key=event.key, value=event.message.value)\n"
    )
    sent = [transition(number, journey=number % 5) for number in range(600)]
    await produce_to(kafka_settings, "transitions", sent)
    for reached in (100, 300):
        process = spawn(kafka_settings, str(file))

        async def is_on_its_way(reached: int = reached) -> bool:
            return len(await all_of(kafka_settings, "out")) >= reached

        try:
            await until(is_on_its_way)
        finally:
            process.kill()
            process.communicate()

    async def all_arrived() -> bool:
        return len({value["seq"] for value in await values_of(kafka_settings, "out")}) == 600

    process = spawn(kafka_settings, str(file))
    try:
        await until(all_arrived)
    finally:
        process.kill()
        process.communicate()
    for journey in range(5):
        arrived = [
            v["seq"] for v in await values_of(kafka_settings, "out") if v["journey_id"] == str(UUID(int=journey))
        ]
        assert list(dict.fromkeys(arrived)) == list(range(journey, 600, 5)), "first arrivals are in order"


async def test_two_processes_share_the_partitions(kafka_settings: KafkaSettings) -> None:
    await make_topics(kafka_settings, "transitions")
    seen: dict[str, set[int]] = {"one": set(), "two": set()}

    def register(who: str) -> Any:
        def declare(app: faust.App, tandem: Tandem) -> None:
            @app.agent(tandem.transitions, name="shared")
            async def shared(changes: Any) -> None:
                async for change in changes:
                    seen[who].add(change["seq"])

        return declare

    sent = 0

    async def both_have_some() -> bool:
        nonlocal sent
        await produce_to(kafka_settings, "transitions", [transition(sent + n, journey=n) for n in range(20)])
        sent += 20
        return all(seen.values())

    async def all_seen() -> bool:
        return len(seen["one"] | seen["two"]) == sent

    async with agents(AgentSettings(kafka_settings), register("one")):
        async with agents(AgentSettings(kafka_settings), register("two")):
            await until(both_have_some)
            await until(all_seen)
        before = sent
        await both_have_some()
        await until(all_seen)
        assert seen["one"] >= set(range(before, sent)), "who stays takes over"


async def test_a_record_under_way_when_its_partition_moves_is_read_again(kafka_settings: KafkaSettings) -> None:
    kafka = replace(kafka_settings, partitions=1)
    await make_topics(kafka, "transitions")
    await produce_to(kafka, "transitions", [transition(1)])
    one, two = (Records(kafka, f"{kafka.topic_prefix}.transitions", "moving") for _ in range(2))
    under_way = await one.next()
    other = asyncio.create_task(two.next())

    async def taken_away() -> bool:
        return one.current is None

    await until(taken_away)
    await one.finish(under_way)
    assert one.finished == 0
    mine = asyncio.create_task(one.next())
    done, pending = await asyncio.wait([mine, other], return_when=asyncio.FIRST_COMPLETED)
    assert [task.result().offset for task in done] == [0]
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    await one.close()
    await two.close()


async def test_publish_holds_events_to_the_contracts(kafka_settings: KafkaSettings) -> None:
    await ensure_topics(kafka_settings)
    await make_topics(kafka_settings, "transitions")
    await produce_to(kafka_settings, "transitions", [transition(1)])
    answers: list[Rejection] = []

    def register(app: faust.App, tandem: Tandem) -> None:
        @app.agent(tandem.transitions, name="wrong")
        async def wrong(changes: Any) -> None:
            async for change in changes:
                event = {"id": "no", "type": "lead_accepted", "source": "x", "occurred_at": change["at"]}
                try:
                    await tandem.publish("sales", event | {"identities": [{"type": "email", "value": "a@b.co"}]})
                except Rejection as rejection:
                    answers.append(rejection)

    async def answered() -> bool:
        return bool(answers)

    async with agents(AgentSettings(kafka_settings), register):
        await until(answered)
    assert answers[0].field == "id"
    assert await all_of(kafka_settings, "sales.events") == []


async def test_what_is_no_json_becomes_a_dead_letter(kafka_settings: KafkaSettings) -> None:
    await make_topics(kafka_settings, "transitions")
    await produce_to(kafka_settings, "transitions", [(b"k", b"{broken"), transition(2)])
    seen: list[int] = []

    def register(app: faust.App, tandem: Tandem) -> None:
        @app.agent(tandem.transitions, name="plain")
        async def plain(changes: Any) -> None:
            async for change in changes.filter(lambda change: change["stage_to"] != "visitor"):
                seen.append(change["seq"])

    async def done() -> bool:
        return seen == [2]

    async with agents(AgentSettings(kafka_settings), register):
        await until(done)
        await until(lambda: has_dead_letter(kafka_settings))
    [record] = await all_of(kafka_settings, "dead-letters")
    headers = dict(record.headers)
    assert (record.key, record.value, headers["tandem-reason"]) == (b"k", b"{broken", b"not_json")


async def has_dead_letter(kafka: KafkaSettings) -> bool:
    return len(await all_of(kafka, "dead-letters")) == 1


async def test_a_topic_that_is_not_there_is_waited_for(kafka_settings: KafkaSettings) -> None:
    seen: list[int] = []

    def register(app: faust.App, tandem: Tandem) -> None:
        @app.agent(tandem.transitions, name="early")
        async def early(changes: Any) -> None:
            async for change in changes:
                seen.append(change["seq"])

    async def done() -> bool:
        return seen == [1]

    async with agents(AgentSettings(kafka_settings), register):
        await make_topics(kafka_settings, "transitions")
        await produce_to(kafka_settings, "transitions", [transition(1)])
        await until(done)


async def test_new_only_is_remembered_from_the_first_moment(kafka_settings: KafkaSettings) -> None:
    await make_topics(kafka_settings, "transitions")
    await produce_to(kafka_settings, "transitions", [transition(number) for number in range(9)])
    topic, group = f"{kafka_settings.topic_prefix}.transitions", "news"

    records = Records(kafka_settings, topic, group, new_only=True)
    reading = asyncio.create_task(records.next())

    async def positioned() -> bool:
        consumer = records._consumer
        return consumer is not None and all(
            [await consumer.committed(TopicPartition(topic, number)) is not None for number in range(3)]
        )

    await until(positioned)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await records.close()
    await produce_to(kafka_settings, "transitions", [transition(99)])
    again = Records(kafka_settings, topic, group, new_only=True)
    assert b'"seq":99' in (await again.next()).value
    await again.close()


async def test_a_timer_that_fails_ends_the_process_by_name(kafka_settings: KafkaSettings) -> None:
    def register(app: faust.App, tandem: Tandem) -> None:
        @app.timer(0.01)  # type: ignore[untyped-decorator] # Faust leaves it untyped
        async def failing() -> None:
            raise ValueError("broken timer")

        @app.agent(tandem.transitions, name="beside")
        async def beside(changes: Any) -> None:
            async for _ in changes:
                pass

    with pytest.raises(AgentsCrashed, match="broken timer"):
        async with agents(AgentSettings(kafka_settings), register) as task:
            await task


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("import nothing_of_that_name", "cannot be imported: ModuleNotFoundError"),
        ("def register(app, tandem) pass", "cannot be imported: SyntaxError"),
        ("x = 1", "has no function register"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "mine.py").write_text(content)
    with pytest.raises(AgentsUnusable, match=f"mine.py {message}"):
        load([str(tmp_path / "mine.py")])


def test_a_name_that_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(AgentsUnusable, match="neither a file nor one of crm, alerts"):
        load([str(tmp_path / "missing.py")])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("def register(app, tandem):\n    pass", "mine.py declares no agent"),
        ("def register(app, tandem):\n    1 / 0", "failed in register: ZeroDivisionError"),
        ("def register(app, tandem):\n    @app.agent(app.topic('x'))\n    async def a(s): ...", "reads no topic"),
        (
            "def register(app, tandem):\n    @app.agent(tandem.journeys, concurrency=2)\n    async def a(s): ...",
            "concurrency 2",
        ),
    ],
)
async def test_a_register_that_cannot_be_used_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "mine.py").write_text(content)
    app = create_app("x", tmp_path)
    with pytest.raises(AgentsUnusable, match=message):
        register_all(load([str(tmp_path / "mine.py")]), app, Tandem(app, AgentSettings(KafkaSettings("localhost:1"))))


async def test_two_files_with_one_name_for_an_agent_are_told_apart_by_the_user(tmp_path: Path) -> None:
    for name in ("mine.py", "other.py"):
        (tmp_path / name).write_text(
            "def register(app, tandem):\n    @app.agent(tandem.journeys, name='a')\n    async def a(s): ..."
        )
    app = create_app("x", tmp_path)
    files = load([str(tmp_path / "mine.py"), str(tmp_path / "other.py")])
    with pytest.raises(AgentsUnusable, match="has an agent a, as a file before it has"):
        register_all(files, app, Tandem(app, AgentSettings(KafkaSettings("localhost:1"))))


async def test_what_needs_faust_s_own_position_is_refused(kafka_settings: KafkaSettings) -> None:
    await make_topics(kafka_settings, "transitions")
    found: list[Exception] = []

    def register(app: faust.App, tandem: Tandem) -> None:
        @app.agent(tandem.transitions, name="taking")
        async def taking(changes: Any) -> None:
            try:
                async for _ in changes.take(10, within=1):
                    pass
            except NotOffered as error:
                found.append(error)
                raise

    async def refused() -> bool:
        return bool(found)

    async with agents(AgentSettings(kafka_settings), register):
        await until(refused)
