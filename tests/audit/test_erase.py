"""Erasure: nothing is left of the person, everybody else is as before, proofs still hold, and nobody comes back."""

import itertools
import json
import random
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.chain import prove
from audit.checkpoints import sign
from audit.digest import projection_digest
from audit.erase import SOURCE, HeldBeside, NotErasable, Plan, certificate, erasure_event, plan, scan
from audit.past import Point
from audit.rebuild import rebuild
from audit.verify import verify
from projections.identifiers import identifier_key, normalise
from projections.identity.erasure import keyed_hash
from projections.identity.register import Register
from projections.identity.workspace import Workspace
from projections.journey.journey import decode_journey
from projections.journey.links import CONTESTED
from projections.memory import MemoryFold, digest_of_workspace
from schemas.decode import decode
from schemas.rejection import Rejection
from schemas.times import NEVER
from store.erasure import UnknownSecret, erased_by, read_secret, rewrite
from store.rebuild import drop
from store.session import open_engine_connection
from streams.engine import refolding as refolding_module
from streams.engine.conflicts import precedes
from streams.engine.removal import stored_keys
from streams.kafka import KafkaSettings
from tests.laws.histories import long_hostile_history
from tests.support import RULES, body, counts, fresh_database, produce, project, until, worker

SEED = 41
MAIL, PHONE, DEVICE, TABLET = (
    "Ana.Forgotten@privacy.example.org",
    "+5511987650001",
    "device-of-ana-1",
    "tablet-in-shop-7",
)
HER = ("ana.forgotten", "5511987650001", "device-of-ana")
_FORM = {"form": "contact", "traits": {"name": "Ana Forgotten"}}
_DEAL = {"amount": 120_00, "currency": "EUR", "owner": "rosa"}
Record = tuple[str, int, bytes | None]


def _at(day: int, minute: int = 0) -> str:
    return f"2026-02-{day:02}T10:{minute:02}:00Z"


def _ana() -> list[Record]:
    """Her events: on a device of her own and on a shared tablet, a form, a deal; and what could not be applied."""
    who = {"email": MAIL, "anonymous_id": DEVICE}
    conflict = body(70_010, who={"email": MAIL}, occurred_at=_at(3), data={"url": "https://x.org/other"})
    return [
        ("marketing", 0, body(70_001, who={"anonymous_id": DEVICE}, occurred_at=_at(1))),
        ("marketing", 0, body(70_002, who={**who, "user_id": "ana-7"}, occurred_at=_at(2))),
        ("marketing", 1, body(70_003, "form_submitted", who=who, occurred_at=_at(2, 5), data=_FORM)),
        ("sales", 0, body(70_004, "opportunity_won", who={"email": MAIL}, occurred_at=_at(3), data=_DEAL, version=2)),
        ("sales", 1, body(70_005, "call_logged", who={"phone": PHONE, "user_id": "ana-7"}, occurred_at=_at(4))),
        # somebody else uses the tablet as well; what is on it alone within her session is hers
        ("marketing", 2, body(70_006, who={"user_id": "ana-7", "anonymous_id": TABLET}, occurred_at=_at(5))),
        ("marketing", 2, body(70_007, who={"anonymous_id": TABLET}, occurred_at=_at(5, 3))),
        ("marketing", 2, body(70_020, who={"user_id": "zoe-8", "anonymous_id": TABLET}, occurred_at=_at(6))),
        ("marketing", 2, body(70_021, who={"anonymous_id": TABLET}, occurred_at=_at(6, 3))),
        ("marketing", 2, body(70_022, who={"anonymous_id": TABLET}, occurred_at=_at(7))),
        ("marketing", 1, body(70_010, who={"email": MAIL}, occurred_at=_at(3))),
        ("marketing", 1, conflict),
        ("marketing", 1, b'{"broken": "' + MAIL.encode()),
        ("sales", 1, body(70_011, "opportunity_won", who={"email": MAIL}, data={"amount": "x"})),
    ]


class World(NamedTuple):
    """A projection, and what was produced for it."""

    kafka: KafkaSettings
    url: str
    records: list[Record]

    async def produce(self, records: Iterable[Record]) -> None:
        """Produce more, and project it."""
        fresh = list(records)
        await produce(self.kafka, fresh)
        self.records.extend(fresh)
        await project(self.kafka, self.url, len(self.records))

    async def erase(self, named: tuple[str, str], day: int = 20) -> tuple[Plan, uuid.UUID]:
        """Erase a person as of a day."""
        planned = await self.plan(named)
        id_ = uuid.UUID(int=SEED << 64 | len(self.records))
        event = json.loads(erasure_event(planned, id_, 0, "request 4711", "dpo"))
        await self.produce([("joint", 0, json.dumps(event | {"occurred_at": _at(day)}).encode())])
        return planned, id_

    async def plan(self, named: tuple[str, str]) -> Plan:
        """What an erasure comes to."""
        found = normalise(*named)
        assert found is not None
        connection = await open_engine_connection(self.url)
        try:
            return await plan(connection, RULES, found.key, named[1], NEVER, random.Random(SEED).randbytes)
        finally:
            await connection.close()

    def events(self) -> list[tuple[str, bytes]]:
        """All valid events, each once, the winners of conflicts."""
        found: dict[tuple[bytes, str], tuple[str, bytes]] = {}
        for owner, _, value in self.records:
            try:
                event = decode(value, owner)
            except Rejection:
                continue
            assert value is not None
            key = (event.id, event.source)
            found[key] = found.get(key, (owner, value))
        return list(found.values())


@pytest.fixture
async def world(kafka_settings: KafkaSettings, database_url: str) -> World:
    """Ana among many others."""
    history = [(owner, n % 3, value) for n, (owner, value) in enumerate(long_hostile_history(300, SEED))]
    world = World(kafka_settings, database_url, [])
    await world.produce([*history[:150], *_ana()[:7]])
    await world.produce([*_ana()[7:], *history[150:]])
    return world


async def _states(url: str) -> dict[uuid.UUID, bytes]:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch("SELECT journey_id, state FROM journeys")
    await connection.close()
    return {row["journey_id"]: row["state"] for row in rows}


def _names_her(value: bytes) -> bool:
    text = value.lower()
    return any(name.encode() in text for name in (*HER, "ana-7")) or b"0000-000000011178" in text


async def test_nothing_is_left_and_everybody_else_is_as_before(world: World) -> None:
    before = await _states(world.url)
    connection = await asyncpg.connect(world.url)
    await connection.execute(
        "INSERT INTO reads (reader, role, endpoint, asked, journeys) VALUES ('sam', 'sales', '/v1/journeys', $1, '{}')",
        json.dumps({"identifier": f"email:{MAIL}"}),
    )
    assert (await scan(connection, [MAIL], lambda *_: None)).found, "she is there"
    proven = await prove(connection, [], lambda *_: None)
    signed = sign(Ed25519PrivateKey.generate(), proven.log, proven.size, bytes.fromhex(proven.root), "then")

    planned, id_ = await world.erase(("email", MAIL))
    assert planned.events == 8, planned
    after = await _states(world.url)
    assert before.keys() - after.keys() == {planned.journey_id}
    tablet = uuid.UUID(bytes=identifier_key("anonymous_id", TABLET))
    first, now = (decode_journey(b"", 0, states.pop(tablet)) for states in (before, after))
    assert {one: state for one, state in before.items() if one in after} == after, "everybody else is as before"
    assert now.moments == first.moments, "the tablet has what nobody did on it, and one link less"
    assert [link.refused for link in now.links.values()] == [CONTESTED]

    values = [*planned.values, "ana.forgotten", "Ana Forgotten", "5511987650001", "device-of-ana"]
    assert (await scan(connection, values, lambda *_: None)).found == []
    found = await verify(world.url, RULES, lambda *_: None)
    assert found.differences == []
    proven = await prove(connection, [signed], lambda *_: None)
    assert (proven.findings, proven.checkpoints) == ([], 1)
    assert proven.erased >= 8
    told = await connection.fetch(
        "SELECT batch_id, kind, detail, stage_to FROM changes WHERE journey_id = $1", planned.journey_id
    )
    last = max(row["batch_id"] for row in told)
    assert {tuple(row)[1:] for row in told if row["batch_id"] < last} == {(3, None, None)}, (
        "no more than that she is gone"
    )
    assert sorted(row["kind"] for row in told if row["batch_id"] == last) == [3, 7, 8], "and what that takes back"
    scanned = await scan(connection, values, lambda *_: None)
    await rewrite(connection)
    assert (
        _files_with(await _files_of(connection), [name.encode() for name in ("Ana.Forgotten", "ana.forgotten")]) == []
    )
    made = await certificate(connection, planned, id_, "4711", "dpo", scanned, datetime(2026, 3, 1, tzinfo=UTC))
    assert made["records_erased"] == proven.erased
    assert made["found"] == []
    assert not any(name in json.dumps(made).lower() for name in HER)
    await connection.close()


async def _files_of(connection: asyncpg.Connection) -> Path:
    """Where PostgreSQL keeps this database's tables."""
    folder = await connection.fetchval("SHOW data_directory")
    number = await connection.fetchval("SELECT oid FROM pg_database WHERE datname = current_database()")
    return Path(folder) / "base" / str(number)


def _files_with(folder: Path, names: list[bytes]) -> list[str]:
    return [path.name for path in folder.iterdir() if any(name in path.read_bytes() for name in names)]


async def test_nobody_is_brought_back_by_what_comes_late_or_again(world: World) -> None:
    await world.erase(("email", MAIL))
    digest = await _digest(world.url)
    connection = await asyncpg.connect(world.url)
    before = await counts(connection)
    late = [
        ("marketing", 1, body(70_050, who={"email": MAIL}, occurred_at=_at(19))),
        ("sales", 0, body(70_051, "call_logged", who={"phone": PHONE, "user_id": "new"}, occurred_at=_at(1))),
        ("marketing", 0, body(70_003, "form_submitted", who={"email": MAIL}, occurred_at=_at(2))),
    ]
    await world.produce([*late, *_ana()])
    assert await _digest(world.url) == digest
    assert (await scan(connection, ["ana.forgotten", "5511987650001"], lambda *_: None)).found == [], "garbage apart"
    now = await counts(connection)
    assert now["read"] == now["applied"] + now["duplicates"] + now["dead"] + now["holes"]
    assert now["applied"] == before["applied"]
    reasons = await connection.fetch("SELECT reason, payload FROM dead_letters WHERE reason = 'erased'")
    assert len(reasons) >= 3
    assert {row["payload"] for row in reasons} == {None}
    rebuilt = await rebuild(world.url, RULES, "again", lambda *_: None)
    assert rebuilt.sha256 == digest
    await connection.close()


async def test_case_23_who_was_merged_with_another_by_mistake_is_split_off_first(world: World) -> None:
    ben = ("email", "ben.stays@privacy.example.org")
    mistake = {"user_id": "ana-7", "email": ben[1]}
    await world.produce(
        [
            ("marketing", 0, body(70_100, who={"email": ben[1]}, occurred_at=_at(8))),
            ("marketing", 1, body(70_101, who=mistake, occurred_at=_at(9))),
            ("marketing", 2, body(70_102, who={"email": ben[1]}, occurred_at=_at(10))),
        ]
    )
    assert f"email:{ben[1]}" in (await world.plan(("email", MAIL))).identifiers, "one person, by mistake"
    parted = {"user_id": "ana-7", "email": ben[1]}
    split = body(70_103, "identity_split", who=parted, occurred_at=_at(11), data={"by": "dpo"}, source="tandem-api")
    await world.produce([("joint", 1, split)])
    planned = await world.plan(("email", MAIL))
    assert (f"email:{ben[1]}" in planned.identifiers, planned.with_others) == (False, 2), "the mistake, and the split"
    await world.erase(("email", MAIL))
    connection = await asyncpg.connect(world.url)
    [kept] = await connection.fetch(
        "SELECT events FROM journeys JOIN identifiers USING (journey_id) WHERE key = $1",
        uuid.UUID(bytes=identifier_key(*ben)),
    )
    assert kept["events"] == 2, "his own; what names both is hers, too"
    assert (await scan(connection, ["ana.forgotten"], lambda *_: None)).found == []
    assert (await scan(connection, [ben[1]], lambda *_: None)).found, "he stays"
    assert (await verify(world.url, RULES, lambda *_: None)).differences == []
    await connection.close()


async def test_case_24_who_comes_back_begins_anew(world: World) -> None:
    await world.erase(("email", MAIL))
    await world.produce([("marketing", 0, body(70_060, who={"email": MAIL}, occurred_at=_at(25)))])
    connection = await asyncpg.connect(world.url)
    [row] = await connection.fetch("SELECT events, first_seen FROM journeys WHERE last_seen > 1771900000000000")
    assert row["events"] == 1
    planned, _ = await world.erase(("email", MAIL), day=26)
    assert planned.events == 1
    assert (await scan(connection, ["ana.forgotten"], lambda *_: None)).found == []
    assert (await verify(world.url, RULES, lambda *_: None)).differences == []
    await connection.close()


async def test_the_digest_is_that_of_what_is_not_erased(world: World) -> None:
    await world.erase(("email", MAIL))
    connection = await asyncpg.connect(world.url)
    fold = MemoryFold(Workspace(RULES, Register(await read_secret(connection) or b"")))
    await connection.close()
    for owner, value in world.events():
        if not _names_her(value):
            fold.add(decode(value, owner))
    fold.workspace.harvest()
    assert await _digest(world.url) == digest_of_workspace(fold.workspace)


async def _digest(url: str) -> str:
    connection = await open_engine_connection(url)
    try:
        return (await projection_digest(connection)).sha256
    finally:
        await connection.close()


async def test_case_25_the_erasure_comes_first_in_a_replay(
    world: World, kafka_settings: KafkaSettings, postgres_server: str
) -> None:
    """Everything is read again from Kafka into another database that has the secret: she never is."""
    await world.erase(("email", MAIL))
    name = f"test_{uuid.uuid4().hex}"
    again = await fresh_database(postgres_server, name)
    source, target = await asyncpg.connect(world.url), await asyncpg.connect(again)
    for row in await source.fetch("SELECT name, secret FROM secrets"):
        await target.execute("INSERT INTO secrets VALUES ($1, $2)", *row)
    await project(kafka_settings, again, len(world.records))
    assert await _digest(again) == await _digest(world.url)
    assert (await scan(target, ["ana.forgotten", "5511987650001"], lambda *_: None)).found == []
    await source.close()
    await target.close()
    admin = await asyncpg.connect(postgres_server)
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


async def test_without_the_secret_nothing_goes_on(world: World, kafka_settings: KafkaSettings) -> None:
    planned = await world.plan(("email", MAIL))
    connection = await asyncpg.connect(world.url)
    await connection.execute("DELETE FROM secrets")
    await produce(kafka_settings, [("joint", 0, erasure_event(planned, uuid.uuid4(), 10**15, "r", "dpo"))])
    async with worker(kafka_settings, world.url) as task:
        with pytest.raises(UnknownSecret, match="restore the table"):
            await task
    assert await erased_by(connection, uuid.uuid4(), SOURCE) is None
    await connection.close()


async def test_what_another_worker_writes_meanwhile_is_erased_as_well(
    world: World, kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address of hers that nothing stored names: an event with it comes while the other worker looks for her."""
    planned = await world.plan(("email", MAIL))
    connection = await asyncpg.connect(world.url)
    look = stored_keys
    fresh = body(70_200, who={"email": "ana.second@privacy.example.org"}, occurred_at=_at(10))
    found = normalise("email", "ana.second@privacy.example.org")
    secret = await read_secret(connection)
    assert found is not None
    assert secret is not None
    planned.data["subjects"].append(keyed_hash(secret, found.key))
    event = erasure_event(planned, uuid.uuid4(), 1_771_000_000_000_000, "r", "dpo")
    looked: list[int] = []

    async def looking(*arguments: object) -> object:
        answer = await look(*arguments)  # type: ignore[arg-type]
        looked.append(1)
        if len(looked) == 1:
            own = await asyncpg.connect(world.url)
            [place] = await own.fetch(_ELSEWHERE, f"{kafka_settings.topic_prefix}.joint.events")
            await produce(kafka_settings, [(place["department"], place["partition"], fresh)])
            await until(lambda: _is_read(own, len(world.records) + 1))
            await own.close()
        return answer

    async def shared() -> bool:
        return bool(await connection.fetchval("SELECT count(DISTINCT worker) FROM partitions") == 2)

    monkeypatch.setattr(refolding_module, "stored_keys", looking)
    async with worker(kafka_settings, world.url), worker(kafka_settings, world.url):
        await until(shared)
        await produce(kafka_settings, [("joint", 0, event)])
        await until(lambda: _is_read(connection, len(world.records) + 2))
    assert len(looked) >= 2, "what it had found was void"
    assert (await scan(connection, ["ana.second", "ana.forgotten"], lambda *_: None)).found == []
    assert (await verify(world.url, RULES, lambda *_: None)).differences == []
    await connection.close()


#: A partition of marketing's that another worker holds than the joint topic's first one.
_ELSEWHERE = """
    SELECT p.department, p.partition FROM partitions p
    WHERE p.department = 'marketing'
      AND p.worker <> (SELECT worker FROM partitions WHERE topic = $1 AND partition = 0)
    ORDER BY 2 LIMIT 1
"""


async def _is_read(connection: asyncpg.Connection, records: int) -> bool:
    return bool(await connection.fetchval("SELECT sum(next_offset) FROM partitions") == records)


async def test_erasures_that_nobody_can_tell_of(world: World) -> None:
    """Of the first version, which names nobody; and under another secret, as somebody might make one up."""
    await world.erase(("email", MAIL))
    digest = await _digest(world.url)
    first = body(70_300, "subject_erased", who={"email": MAIL}, occurred_at=_at(21), version=1, source="joint")
    data = {"secret": "0123456789abcdef", "subjects": ["0" * 64]}
    made_up = body(70_301, "subject_erased", who={}, occurred_at=_at(21), version=2, source="joint", data=data)
    made_up = made_up.replace(b'"identities":[{"type":"anonymous_id","value":"d1"}]', b'"identities":[]')
    await world.produce([("joint", 1, made_up)])
    assert await _digest(world.url) == digest
    connection = await asyncpg.connect(world.url)
    [row] = await connection.fetch("SELECT payload FROM dead_letters WHERE reason = 'unknown_secret'")
    assert row["payload"] == made_up
    await world.produce([("joint", 2, first)])
    assert (await verify(world.url, RULES, lambda *_: None)).differences == []
    assert await connection.fetchval("SELECT count(*) FROM erasures") == 1
    await connection.close()


async def test_whom_nobody_can_name_cannot_be_erased(world: World) -> None:
    with pytest.raises(NotErasable, match="no event has named"):
        await world.plan(("email", "nobody@x.org"))
    with pytest.raises(NotErasable, match="shared by several people"):
        await world.plan(("anonymous_id", TABLET))


async def test_projections_beside_that_have_the_person_are_dropped_first(world: World) -> None:
    """An erasure does not change them, and what is in them would be found afterwards."""
    await rebuild(world.url, RULES, "beside", lambda *_: None)
    await rebuild(world.url, RULES, "before", lambda *_: None, point=Point(at=0))  # nobody is in it
    with pytest.raises(HeldBeside, match=r"\(tandem projections drop beside\)"):
        await world.plan(("email", MAIL))
    connection = await asyncpg.connect(world.url)
    await drop(connection, "beside")
    planned, _ = await world.erase(("email", MAIL))
    assert (await scan(connection, planned.values, lambda *_: None)).clean
    await connection.close()


async def test_an_erasure_that_takes_another_event_s_id_erases(world: World) -> None:
    planned = await world.plan(("email", MAIL))
    id_ = uuid.UUID(int=SEED << 64 | 1)
    page = json.loads(body(1, who={"user_id": "zoe-8"}, source=SOURCE)) | {"id": str(id_)}
    loser = json.dumps(page).encode()
    at = int(datetime.fromisoformat(_at(20)).timestamp() * 1_000_000)
    winner = next(
        event
        for n in itertools.count()
        if precedes(event := erasure_event(planned, id_, at, f"request {n}", "dpo"), loser)
    )
    await world.produce([("marketing", 0, loser)])
    await world.produce([("joint", 0, winner)])
    connection = await asyncpg.connect(world.url)
    assert (await scan(connection, planned.values, lambda *_: None)).clean
    await connection.close()
    assert (await verify(world.url, RULES, lambda *_: None)).differences == []
