"""What proofs cost: hash chain and seals beside catch-up, the past of one journey, verification and replay."""

import asyncio
import json
import random
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from urllib.parse import quote

import aiohttp
import asyncpg

from audit.chain import prove
from audit.digest import projection_digest
from audit.from_kafka import replay_from_kafka
from audit.rebuild import rebuild
from audit.verify import verify
from bench.scenarios import catch_up, until_ready
from bench.services import Servers, make_testbed
from bench.workload import Workload, generate
from deploy.embedded.process import free_port
from projections.memory import digest_of_workspace, fold_events
from projections.playbook.rules import Rules, load_rules
from schemas.decode import decode
from store.rebuild import drop
from store.session import open_connection, open_engine_connection
from streams.engine.gc_tuning import look_seldom
from tests.plans import agree
from tests.support import produce

_ROOT = Path(__file__).parents[1]
_ROOMS = ("schemas", "projections", "store", "streams", "audit", "cli", "api", "deploy", "sdk")
_PAIRS = 5
_VERIFIED = 8  #: rebuilds and verifications, by turns
_ASKED = 400  #: journeys at a time in the past
_CUSTOMERS = 20_000
_HARD = 300_000
_KILLED_AFTER = (2.0, 2.5, 3.0, 3.5, 4.0)  #: seconds
#: The code of the chain: without it, archive and commit are as they were before.
_ARCHIVE, _COMMIT = "store/archive.py", "store/commit.py"
_WITHOUT = (
    (_ARCHIVE, "salts = random(_SALT_BYTES * len(records))", "salts = b''"),
    (
        _ARCHIVE,
        "    for place, one in zip(range(0, len(salts), _SALT_BYTES), records, strict=True):\n"
        "        salt = salts[place : place + _SALT_BYTES]\n",
        "    for one in records:\n        salt = b''\n",
    ),
    (_ARCHIVE, "[sha256(one).digest() for one in encoded]", "[b''] * len(encoded)"),
    (_ARCHIVE, 'return sha256(b"".join([head, *[_name.pack(name) for name in names], *seals])).digest()', "return b''"),
    (_COMMIT, "[link_of(content, _step(advance)) for advance in advances]", "[b''] * len(advances)"),
    (_COMMIT, "chain = sha256(p.chain || u.link)", "chain = u.link"),
    (_COMMIT, "UPDATE tree SET size = size + 1 RETURNING size - 1 AS leaf,", "SELECT NULL::bigint AS leaf,"),
)


async def cost_of_the_chain(on: Servers, events: int, seed: int) -> dict[str, float]:
    """Catch-up with and without it, by turns."""
    tree = _tree_without(on.folder / "without-chain")
    rates: dict[str, list[float]] = {"with": [], "without": []}
    for n in range(2 * _PAIRS):
        name = ("with", "without")[n % 2]
        testbed = await make_testbed(on)
        found = await catch_up(
            testbed if name == "with" else replace(testbed, tree=tree), generate(Workload(events, _CUSTOMERS, seed))
        )
        rates[name].append(found.events_per_s)
    ratio = median(one / other for one, other in zip(rates["with"], rates["without"], strict=True))
    return {
        "chain_per_s": round(median(rates["with"])),
        "without_chain_per_s": round(median(rates["without"])),
        "chain_ratio": round(ratio, 3),
    }


def _tree_without(target: Path) -> Path:
    """The platform's source, without the chain."""
    for room in _ROOMS:
        shutil.copytree(_ROOT / room, target / room, ignore=shutil.ignore_patterns("__pycache__"))
    for file, before, after in _WITHOUT:
        path = target / file
        text = path.read_text("utf-8")
        assert text.count(before) == 1, f"{file} has changed: {before}"
        path.write_text(text.replace(before, after), "utf-8")
    return target


async def proofs(on: Servers, history: int, seed: int) -> dict[str, float]:
    testbed = await make_testbed(on)
    caught = await catch_up(testbed, generate(Workload(history, _CUSTOMERS, seed)))
    rules = load_rules()
    look_seldom()  # as the commands do
    figures: dict[str, float] = {"audit_events": history, "audit_catch_up_s": round(history / caught.events_per_s, 1)}
    with testbed.running("serve", "--port", str(port := free_port())):
        figures |= await _as_of(testbed.database_url, port, seed)
    figures |= await _verify_and_rebuild(testbed.database_url, rules)
    connection = await open_connection(testbed.database_url)
    start = time.perf_counter()
    proven = await prove(connection, [], lambda *_: None)
    figures["prove_s"] = time.perf_counter() - start
    assert proven.sound, proven.findings[:3]
    await connection.close()
    start = time.perf_counter()
    replayed = await replay_from_kafka(testbed.kafka, testbed.database_url, rules, "replayed", lambda *_: None)
    figures["replay_from_kafka_s"] = time.perf_counter() - start
    live = await open_engine_connection(testbed.database_url)
    assert replayed.sha256 == (await projection_digest(live)).sha256
    await live.close()
    return {name: round(figure, 2) for name, figure in figures.items()}


async def _verify_and_rebuild(database_url: str, rules: Rules) -> dict[str, float]:
    """By turns, in alternating order, so that neither pays for the other's writes to disk."""
    connection = await open_connection(database_url)
    took: dict[str, list[float]] = {"rebuild": [], "verify": []}
    for n in range(2 * _VERIFIED):
        name = ("rebuild", "verify", "verify", "rebuild")[n % 4]
        await connection.execute("CHECKPOINT")
        start = time.perf_counter()
        if name == "rebuild":
            rebuilt = await rebuild(database_url, rules, "rebuilt", lambda *_: None)
        else:
            verified = await verify(database_url, rules, lambda *_: None)
        took[name].append(time.perf_counter() - start)
        if name == "rebuild":
            await drop(connection, "rebuilt")
    await connection.close()
    assert verified.sound, verified.differences[:3]
    assert rebuilt.sha256 == verified.sha256
    figures = {f"{name}_s": median(times) for name, times in took.items()}
    return figures | {"verify_to_rebuild_ratio": figures["verify_s"] / figures["rebuild_s"]}


async def everything(on: Servers, seed: int) -> dict[str, float]:
    """A hard history, computed in four ways that must agree; one of them is killed again and again."""
    testbed = await make_testbed(on)
    history = list(_hard_history(seed))
    records = len(history) + len(_POISON)
    await produce(testbed.kafka, [*history, *_POISON])
    started = time.perf_counter()
    with testbed.running("work"):
        connection = await asyncpg.connect(testbed.database_url)
        while await connection.fetchval("SELECT sum(next_offset) FROM partitions") != records:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        while await connection.fetchval("SELECT swept_until IS NOT NULL FROM projection"):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    figures: dict[str, float] = {"hard_events": len(history), "hard_live_s": time.perf_counter() - started}
    rules = load_rules()
    killed = 0
    for seconds in _KILLED_AFTER:
        with testbed.running("replay", "--into", "killed") as process:
            await asyncio.sleep(seconds)
            process.kill()
            process.wait()
        [[done, total]] = await connection.fetch("SELECT events, total FROM killed.rebuild")
        killed += done < total
    figures |= {"hard_killed": killed, "hard_done_when_killed": done / total}
    live = await open_engine_connection(testbed.database_url)
    digests = {
        "live": (await projection_digest(live)).sha256,
        "archive": (await rebuild(testbed.database_url, rules, "killed", lambda *_: None)).sha256,
        "kafka": (await replay_from_kafka(testbed.kafka, testbed.database_url, rules, "again", lambda *_: None)).sha256,
        "memory": _in_memory(history, rules),
    }
    await live.close()
    await connection.close()
    assert len(set(digests.values())) == 1, digests
    figures["hard_digests_equal"] = len(digests)
    return {name: round(figure, 2) for name, figure in figures.items()}


def _hard_history(seed: int) -> Iterator[tuple[str, int, bytes]]:
    """(owner, partition, value): merges, duplicates, late events, joins and splits, a playbook that both agree to."""
    chance = random.Random(seed)
    workload = Workload(_HARD, _CUSTOMERS, seed, late=0.2, devices=20, duplicates=0.05)
    for n, record in enumerate(generate(workload)):
        yield "marketing", chance.randrange(4), record.value
        if n % 1_000 == 500:
            yield "joint", chance.randrange(4), _ruling(chance, n)
        if n == _HARD // 2:
            for owner, value in agree(1, "2026-01-05T00:00:00+00:00"):
                yield owner, 0, value


def _ruling(chance: random.Random, number: int) -> bytes:
    one, other = chance.sample(range(200), 2)
    event = {
        "id": str(uuid.UUID(int=7 << 96 | number)),
        "type": chance.choice(["identity_joined", "identity_joined", "identity_split"]),
        "source": "desk",
        "occurred_at": f"2026-01-{1 + number * 16 // _HARD:02}T12:00:00Z",
        "identities": [{"type": "user_id", "value": f"u{who}"} for who in (one, other)],
        "data": {"by": "ana"},
    }
    return json.dumps(event).encode()


_POISON: list[tuple[str, int, bytes | None]] = [
    ("sales", 0, b"no event"),
    ("marketing", 1, None),
    ("joint", 2, b'{"id": 1}'),
    ("sales", 3, b"\xff\xfe"),
]


def _in_memory(history: list[tuple[str, int, bytes]], rules: Rules) -> str:
    """The digest of the fold in memory: every event once."""
    events = {}
    for owner, _, value in history:
        event = decode(value, owner)
        events[event.id, event.source] = event
    return digest_of_workspace(fold_events(events.values(), rules))


async def _as_of(database_url: str, port: int, seed: int) -> dict[str, float]:
    """The past of single journeys over HTTP, at random times on both axes, one after the other."""
    connection = await asyncpg.connect(database_url)
    [[first, last]] = await connection.fetch("SELECT min(first_seen), max(last_seen) FROM journeys")
    [known] = await connection.fetch("SELECT min(committed_at), max(committed_at) FROM batches")
    await connection.close()
    chance, figures = random.Random(seed), dict[str, float]()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        await until_ready(session)
        for axis in ("at", "known_at"):
            took = []
            for _ in range(_ASKED):
                share = chance.uniform(0.2, 1)
                if axis == "at":
                    time_ = _text((first + share * (last - first)) / 1_000_000)
                else:
                    time_ = (known[0] + share * (known[1] - known[0])).isoformat()
                path = f"/v1/journeys/user_id:u{chance.randrange(_CUSTOMERS)}?{axis}={quote(time_)}"
                start = time.perf_counter()
                async with session.get(path) as response:
                    await response.read()
                    assert response.status in (200, 404), await response.text()
                took.append((time.perf_counter() - start) * 1000)
            figures |= {f"as_of_{axis}_p50_ms": median(took), f"as_of_{axis}_p99_ms": quantiles(took, n=100)[98]}
    return figures


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
