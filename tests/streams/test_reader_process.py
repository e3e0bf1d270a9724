"""The reader's process: it gives what reading in place gives, may die at any time, and outlives nobody."""

import asyncio
import pickle
import struct
import subprocess
import sys
from functools import partial
from typing import Any

import asyncpg
import psutil
import pytest
import structlog

from store.archive import Archived, Block, DamagedBlock, LogRecord, blocks_of, open_block
from streams.engine import caution, work_session
from streams.engine import reader_process as reader
from streams.engine.desk import Desk
from streams.engine.reader_process import BatchReader, ReaderFailed, ReaderGone
from streams.kafka import KafkaSettings
from tests.laws.histories import long_hostile_history
from tests.support import RULES, body, counts, expected_digest, produce, stored_digest, until, worker

_DEPARTMENTS = {1: "marketing", 2: "sales", 3: "joint"}
_PARTITIONS = {department: partition for partition, department in _DEPARTMENTS.items()}


def records(size: int) -> list[LogRecord]:
    """A hostile history with a duplicate, a conflict and a dead letter at its end."""
    history = long_hostile_history(size, seed=3)
    found = [LogRecord(_PARTITIONS[owner], n, 7, None, value) for n, (owner, value) in enumerate(history)]
    more = [body(900_001), body(900_001), body(900_001, who={"user_id": "x"}), b"poison", None]
    return found + [LogRecord(1, size + n, 7, "2026-01-01T00:00:00Z", value) for n, value in enumerate(more)]


def _opened(block: Block) -> tuple[object, ...]:
    """What is in a block, beside salts and what follows from them."""
    return (block.bucket, block.events, block.names, open_block(block.payload))


async def test_a_process_reads_and_packs_as_it_is_done_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    batch, sources = records(200), {"web": 1, "crm": 2, "joint": 3}
    monkeypatch.setattr(reader, "LARGE", 1)
    away, here = BatchReader(RULES), Desk(RULES)
    try:
        for number in (1, 2, 3):
            there, own = await away.read(_DEPARTMENTS, batch), here.read(number, _DEPARTMENTS, batch)
            assert [one.moment for one in there.events] == [one.moment for one in own.events]
            assert [list(one.facts) for one in there.events] == [list(one.facts) for one in own.events]
            subjects = [own.subjects[one.subject] if one.subject is not None else None for one in own.events]
            assert [
                there.subjects[one.subject] if one.subject is not None else None for one in there.events
            ] == subjects
            assert (there.duplicates, there.dead_letters) == (own.duplicates, own.dead_letters)
            names = {one.moment.source for one in own.events}
            numbers = sources | {name: 9 + n for n, name in enumerate(sorted(names))}
            known, superseding = {0, 5, 17}, {3}
            packed = await away.pack(there.number, known, superseding, numbers)
            again = here.pack(number, known, superseding, numbers)
            assert packed.events == again.events
            assert [_opened(block) for block in packed.blocks] == [_opened(block) for block in again.blocks]
            events = [event for block in packed.blocks for event in open_block(block.payload)]
            assert len(events) == len(own.events) - len(known)
            blocks = [block.payload for block in packed.blocks]
            opened = await away.open(_DEPARTMENTS, blocks), here.open(9, _DEPARTMENTS, blocks)
            assert [one.moment for one in opened[0].events] == [one.moment for one in opened[1].events]
    finally:
        await away.close()


async def test_what_nobody_thought_of_is_told_with_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "LARGE", 1)
    away = BatchReader(RULES)
    try:
        with pytest.raises(ReaderFailed, match="KeyError: 1"):
            await away.read({2: "sales"}, records(3))
        assert (await away.read(_DEPARTMENTS, records(3))).events
    finally:
        await away.close()


async def test_a_damaged_block_is_named_as_such_from_there_too() -> None:
    payload = bytearray(blocks_of([(bytes(16), Archived(1, 0, 7, None, body(1)))], bytes)[0].payload)
    payload[len(payload) // 2] ^= 1
    away = BatchReader(RULES)
    try:
        with pytest.raises(DamagedBlock, match="cannot be opened"):
            await away.open(_DEPARTMENTS, [bytes(payload)])
    finally:
        await away.close()


async def test_a_process_that_died_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "LARGE", 1)
    away = BatchReader(RULES)
    try:
        read = await away.read(_DEPARTMENTS, records(3))
        for process in _readers():
            process.kill()
            process.wait()
        with pytest.raises(ReaderGone):
            await away.pack(read.number, set(), set(), {})
        assert (await away.read(_DEPARTMENTS, records(3))).events
    finally:
        await away.close()
    assert _readers() == []


async def test_a_worker_whose_reader_is_killed_loses_nothing(
    kafka_settings: KafkaSettings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "LARGE", 8)
    monkeypatch.setattr(work_session, "LARGE", 8)
    monkeypatch.setattr(caution, "BATCH_RECORDS", 40)
    bodies = [("marketing", body(n, who={"user_id": f"u{n % 50}"})) for n in range(3_000)]
    await produce(kafka_settings, [(owner, n % 3, value) for n, (owner, value) in enumerate(bodies)])
    connection = await asyncpg.connect(database_url)
    with structlog.testing.capture_logs() as logs:
        async with worker(kafka_settings, database_url):
            for share in (0.1, 0.4, 0.7):
                await until(partial(_read, connection, int(share * len(bodies))))
                await until(_any_reader)
                for process in _readers():
                    process.kill()
            await until(lambda: _read(connection, len(bodies)))
    counted = await counts(connection)
    await connection.close()
    assert {log.get("error") for log in logs if log["event"] == "projector starts over"} == {"ReaderGone"}
    assert counted["applied"] == len(bodies)
    assert await stored_digest(database_url) == expected_digest(bodies)
    assert _readers() == []


def test_a_reader_ends_with_its_input() -> None:
    """As when the worker is killed."""
    code = "from streams.engine.reader_process import serve; serve()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert process.stdin is not None
    rules = pickle.dumps(RULES)
    process.stdin.write(struct.pack(">I", len(rules)) + rules)
    process.stdin.close()
    assert process.wait(30) == 0


def _readers() -> list[Any]:
    children = psutil.Process().children()
    return [child for child in children if "streams.engine.reader_process" in " ".join(child.cmdline())]


async def _any_reader() -> bool:
    await asyncio.sleep(0)
    return bool(_readers())


async def _read(connection: Any, number: int) -> bool:
    return (await counts(connection))["read"] >= number
