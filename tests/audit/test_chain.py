"""Tamper evidence: every change of the records is found and named, whatever the one who made it computed again."""

import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import msgspec
import pytest

from audit.chain import Proven, prove
from audit.checkpoints import (
    Checkpoint,
    CheckpointsInUse,
    DamagedCheckpoint,
    UnusableKey,
    adding_to,
    check,
    load_private,
    load_public,
    make_key,
    public_path,
    read_checkpoints,
)
from audit.proofs import NoProof, Proof, check_proof, prove_consistency, prove_inclusion
from audit.signer import LogChanged, Signer
from store.archive import open_sealed, root_of, seal_of
from store.chain import chained, content_of, link_of
from store.tree import StoredBatch, batches_from, contents_of, read_tree
from streams.kafka import KafkaSettings
from tests.laws.histories import long_hostile_history
from tests.support import body, produce, project

SEED = 23


@pytest.fixture
async def database(kafka_settings: KafkaSettings, database_url: str) -> str:
    """Some batches of events, dead letters and duplicates."""
    history = long_hostile_history(300, SEED)
    done = 0
    for start in range(0, 300, 60):
        some = [(owner, n % 3, value) for n, (owner, value) in enumerate(history[start : start + 60])]
        records = [*some, ("sales", 0, b"no event"), ("marketing", 1, None), some[0]]
        await produce(kafka_settings, records)
        done += len(records)
        await project(kafka_settings, database_url, done)
    return database_url


async def _prove(database_url: str, *checkpoints: Checkpoint) -> Proven:
    connection = await asyncpg.connect(database_url)
    try:
        return await prove(connection, checkpoints, lambda *_: None)
    finally:
        await connection.close()


async def _sign(database_url: str, folder: Path) -> Checkpoint:
    key = folder / "key.pem"
    if not key.exists():
        make_key(key)
    signer = Signer(load_private(key), folder / "checkpoints.jsonl", lambda: datetime(2026, 1, 1, tzinfo=UTC))
    connection = await asyncpg.connect(database_url)
    try:
        made = await signer.sign(connection)
        assert await signer.sign(connection) is None, "nothing is new"
    finally:
        await connection.close()
    assert made is not None
    return made


async def test_what_was_committed_is_sound(database: str, tmp_path: Path) -> None:
    signed = await _sign(database, tmp_path)
    check(signed, load_public(public_path(tmp_path / "key.pem")))
    found = await _prove(database, signed)
    assert found.findings == []
    assert (found.size, found.root, found.checkpoints, found.signed) == (signed.size, signed.root, 1, signed.size)
    assert found.size >= 5
    assert found.events > 100


async def _flip(connection: asyncpg.Connection, chance: random.Random, select: str, update: str) -> int:
    """Flip one bit of a bytea in one row. Returns the first column: the batch's id."""
    row = chance.choice(await connection.fetch(select))
    *place, value = row
    damaged = bytearray(value)
    damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
    await connection.execute(update, *place, bytes(damaged))
    return int(place[0])


async def _flip_a_block(connection: asyncpg.Connection, chance: random.Random) -> int:
    return await _flip(
        connection,
        chance,
        "SELECT batch_id, bucket, payload FROM archive ORDER BY 1, 2",
        "UPDATE archive SET payload = $3 WHERE batch_id = $1 AND bucket = $2",
    )


async def _flip_a_root(connection: asyncpg.Connection, chance: random.Random) -> int:
    return await _flip(
        connection,
        chance,
        "SELECT batch_id, bucket, root FROM archive ORDER BY 1, 2",
        "UPDATE archive SET root = $3 WHERE batch_id = $1 AND bucket = $2",
    )


async def _rename_a_block(connection: asyncpg.Connection, chance: random.Random) -> int:
    row = chance.choice(await connection.fetch("SELECT batch_id, bucket FROM archive ORDER BY 1, 2"))
    await connection.execute("UPDATE archive SET names = names || 1 WHERE batch_id = $1 AND bucket = $2", *row)
    return int(row["batch_id"])


async def _flip_a_chain(connection: asyncpg.Connection, chance: random.Random) -> int:
    return await _flip(
        connection,
        chance,
        "SELECT batch_id, partition_id, chain FROM batches ORDER BY 1, 2",
        "UPDATE batches SET chain = $3 WHERE batch_id = $1 AND partition_id = $2",
    )


async def _miscount(connection: asyncpg.Connection, chance: random.Random) -> int:
    row = chance.choice(await connection.fetch("SELECT batch_id, partition_id FROM batches ORDER BY 1, 2"))
    column = chance.choice(["applied", "duplicates", "dead", "holes"])
    await connection.execute(
        f"UPDATE batches SET {column} = {column} + 1 WHERE batch_id = $1 AND partition_id = $2", *row
    )
    return int(row["batch_id"])


async def _delete_a_block(connection: asyncpg.Connection, chance: random.Random) -> int:
    row = chance.choice(await connection.fetch("SELECT batch_id, bucket FROM archive ORDER BY 1, 2"))
    await connection.execute("DELETE FROM archive WHERE batch_id = $1 AND bucket = $2", *row)
    return int(row["batch_id"])


async def _delete_a_record(connection: asyncpg.Connection, chance: random.Random) -> int:
    batch_id = chance.choice([row[0] for row in await connection.fetch("SELECT DISTINCT batch_id FROM batches")])
    await connection.execute("DELETE FROM batches WHERE batch_id = $1", batch_id)
    return -1  # what is not there has no name: its place has


async def _swap_blocks(connection: asyncpg.Connection, chance: random.Random) -> int:
    """Of two batches with blocks in one bucket."""
    rows = await connection.fetch(
        "SELECT a.batch_id AS one, b.batch_id AS other, bucket FROM archive a JOIN archive b USING (bucket) "
        "WHERE a.batch_id < b.batch_id ORDER BY 1, 2, 3"
    )
    one, other, bucket = chance.choice(rows)
    for before, after in ((one, -1), (other, one), (-1, other)):
        await connection.execute(
            "UPDATE archive SET batch_id = $2 WHERE batch_id = $1 AND bucket = $3", before, after, bucket
        )
    return int(one)


async def _swap_batches(connection: asyncpg.Connection, chance: random.Random) -> int:
    """Each takes the other's place in the tree."""
    leaves = await connection.fetch("SELECT DISTINCT leaf, batch_id FROM batches ORDER BY 1")
    one, other = sorted(chance.sample(leaves, 2), key=lambda row: row["leaf"])
    for batch, leaf in ((one, other), (other, one)):
        await connection.execute("UPDATE batches SET leaf = $2 WHERE batch_id = $1", batch["batch_id"], leaf["leaf"])
    return 0  # either, or one between them


async def _change_a_dead_letter(connection: asyncpg.Connection, chance: random.Random) -> int:
    row = chance.choice(await connection.fetch("SELECT batch_id, partition_id, record_offset FROM dead_letters"))
    await connection.execute(
        "UPDATE dead_letters SET reason = 'x' WHERE batch_id = $1 AND partition_id = $2 AND record_offset = $3", *row
    )
    return int(row["batch_id"])


async def _forget_a_dead_letter(connection: asyncpg.Connection, chance: random.Random) -> int:
    row = chance.choice(await connection.fetch("SELECT batch_id, partition_id, record_offset FROM dead_letters"))
    await connection.execute(
        "DELETE FROM dead_letters WHERE batch_id = $1 AND partition_id = $2 AND record_offset = $3", *row
    )
    return int(row["batch_id"])


Damage = Callable[[asyncpg.Connection, random.Random], Awaitable[int]]


@pytest.mark.parametrize(
    "damage",
    [
        *(_flip_a_block, _flip_a_root, _rename_a_block, _flip_a_chain, _miscount, _delete_a_block, _delete_a_record),
        *(_swap_blocks, _swap_batches, _change_a_dead_letter, _forget_a_dead_letter),
    ],
)
async def test_a_change_is_found_and_named_without_any_checkpoint(database: str, damage: Damage) -> None:
    chance = random.Random(SEED)
    connection = await asyncpg.connect(database)
    for _ in range(5):
        transaction = connection.transaction(isolation="repeatable_read")
        await transaction.start()
        batch_id = await damage(connection, chance)
        found = await prove(connection, [], lambda *_: None)
        await transaction.rollback()
        assert found.findings, damage.__name__
        first = found.findings[0]
        assert first.batch_id == batch_id if batch_id > 0 else first.where, first
        assert first.what, first
    await connection.close()
    assert (await _prove(database)).findings == []


async def test_a_batch_that_was_dated_otherwise_needs_a_checkpoint(database: str, tmp_path: Path) -> None:
    """The time of a commit is in the tree, and in no partition's chain."""
    signed = await _sign(database, tmp_path)
    connection = await asyncpg.connect(database)
    await connection.execute(
        "UPDATE batches SET committed_at = committed_at + interval '1 us' WHERE leaf = $1", signed.size - 1
    )
    assert (await prove(connection, [], lambda *_: None)).findings == []
    [finding] = (await prove(connection, [signed], lambda *_: None)).findings
    assert "not those that were signed" in finding.what
    await connection.close()


async def _write_again(connection: asyncpg.Connection) -> None:
    """What somebody does who may write to the database and has read the code: compute all that is stored again."""
    tree = await read_tree(connection)
    chains: dict[int, bytes] = {}
    async for page in batches_from(connection, 0, tree.size):
        contents = await contents_of(connection, [batch.batch_id for batch in page])
        for batch in page:
            await _chain_again(connection, batch, contents[batch.batch_id], chains)
    for partition_id, chain in chains.items():
        await connection.execute("UPDATE partitions SET chain = $2 WHERE partition_id = $1", partition_id, chain)


async def _chain_again(
    connection: asyncpg.Connection, batch: StoredBatch, stored: object, chains: dict[int, bytes]
) -> None:
    roots = []
    for block in stored.blocks:  # type: ignore[attr-defined]
        root = root_of(block.bucket, [seal_of(record) for record in open_sealed(block.payload)], block.names)
        await connection.execute(
            "UPDATE archive SET root = $3 WHERE batch_id = $1 AND bucket = $2", batch.batch_id, block.bucket, root
        )
        roots.append((block.bucket, root))
    letters = [(one.partition_id, one.offset, one.seal) for one in stored.letters]  # type: ignore[attr-defined]
    content = content_of(roots, letters, stored.holes, stored.erased)  # type: ignore[attr-defined]
    for record in batch.records:
        partition_id = record.step.partition_id
        chains[partition_id] = chained(chains.get(partition_id, b""), link_of(content, record.step))
        await connection.execute(
            "UPDATE batches SET chain = $3 WHERE batch_id = $1 AND partition_id = $2",
            batch.batch_id,
            partition_id,
            chains[partition_id],
        )


async def test_whoever_computes_everything_again_is_found_out_by_a_checkpoint(database: str, tmp_path: Path) -> None:
    signed = await _sign(database, tmp_path)
    connection = await asyncpg.connect(database)
    await connection.execute("UPDATE batches SET duplicates = duplicates + 1 WHERE leaf = 2")
    await _write_again(connection)
    assert (await prove(connection, [], lambda *_: None)).findings == [], "nothing in the database tells"
    [finding] = (await prove(connection, [signed], lambda *_: None)).findings
    assert finding.where.startswith("checkpoint of 2026-01-01"), finding
    signer = Signer(load_private(tmp_path / "key.pem"), tmp_path / "checkpoints.jsonl", lambda: datetime.now(UTC))
    with pytest.raises(LogChanged, match="Nothing is signed"):
        await signer.sign(connection)
    await connection.close()


async def test_an_end_that_was_cut_off_is_found_out_by_a_checkpoint(database: str, tmp_path: Path) -> None:
    signed = await _sign(database, tmp_path)
    connection = await asyncpg.connect(database)
    for table in ("archive", "dead_letters", "holes"):
        await connection.execute(
            f"DELETE FROM {table} WHERE batch_id = (SELECT batch_id FROM batches ORDER BY leaf DESC LIMIT 1)"
        )
    await connection.execute("DELETE FROM batches WHERE leaf = $1", signed.size - 1)
    cut = await prove(connection, [], lambda *_: None)
    assert any("missing" in finding.what for finding in cut.findings), "the partition stands where no batch took it"
    await connection.execute("UPDATE tree SET size = size - 1")
    await connection.execute(
        "UPDATE partitions p SET next_offset = b.to_offset, chain = b.chain FROM "
        "(SELECT DISTINCT ON (partition_id) partition_id, to_offset, chain FROM batches ORDER BY 1, leaf DESC) b "
        "WHERE b.partition_id = p.partition_id"
    )
    found = await prove(connection, [signed], lambda *_: None)
    assert any("the end was cut off" in finding.what for finding in found.findings)
    await connection.close()


async def test_checkpoints_are_what_their_key_signed(database: str, tmp_path: Path) -> None:
    signed = await _sign(database, tmp_path)
    path, public = tmp_path / "checkpoints.jsonl", load_public(public_path(tmp_path / "key.pem"))
    text, chance = path.read_bytes(), random.Random(SEED)
    for _ in range(300):
        place = chance.randrange(len(text) - 1)
        damaged = text[:place] + bytes([text[place] ^ 1 << chance.randrange(8)]) + text[place + 1 :]
        path.write_bytes(damaged)
        try:
            found = read_checkpoints(path)
        except DamagedCheckpoint:
            continue
        if found == [signed]:
            continue  # JSON says the same
        assert len(found) == 1
        with pytest.raises(DamagedCheckpoint):
            check(found[0], public)
    with pytest.raises(DamagedCheckpoint, match="the key is the wrong one"):
        check(signed, make_key(tmp_path / "other.pem"))
    foreign = msgspec.structs.replace(signed, log="another")
    assert "it belongs to the log another" in (await _prove(database, foreign)).findings[0].what


async def test_the_signer_goes_on_where_it_was(database: str, kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    first = await _sign(database, tmp_path)
    connection = await asyncpg.connect(database)
    read = await connection.fetchval("SELECT sum(next_offset)::bigint FROM partitions")
    await produce(kafka_settings, [("marketing", 0, body(9_000))])
    await project(kafka_settings, database, read + 1)
    second = await _sign(database, tmp_path)
    assert read_checkpoints(tmp_path / "checkpoints.jsonl") == [first, second]
    public = load_public(public_path(tmp_path / "key.pem"))
    found = await prove(connection, [first, second], lambda *_: None)
    assert (found.findings, found.checkpoints) == ([], 2)
    consistency = await prove_consistency(connection, first, second)
    assert "batches were only added" in check_proof(_over_the_wire(consistency), public)
    for batch in await connection.fetch("SELECT DISTINCT batch_id FROM batches"):
        inclusion = await prove_inclusion(connection, batch["batch_id"], second)
        assert f"batch {batch['batch_id']} was among" in check_proof(_over_the_wire(inclusion), public)
    false = msgspec.structs.replace(inclusion, batch_id=inclusion.batch_id + 1)
    moved = msgspec.structs.replace(inclusion, place=inclusion.place ^ 1)
    for proof in (false, moved, msgspec.structs.replace(consistency, path=consistency.path[:-1])):
        with pytest.raises(NoProof):
            check_proof(proof, public)
    with pytest.raises(NoProof, match="after the last checkpoint"):
        await prove_inclusion(connection, await _last_batch(connection), first)
    with pytest.raises(NoProof, match="no batch 12345"):
        await prove_inclusion(connection, 12345, second)
    await connection.close()


async def _last_batch(connection: asyncpg.Connection) -> int:
    return int(await connection.fetchval("SELECT batch_id FROM batches ORDER BY leaf DESC LIMIT 1"))


def _over_the_wire(proof: Proof) -> Proof:
    decoded: Proof = msgspec.json.decode(msgspec.json.encode(proof), type=Proof)
    return decoded


def test_keys(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    make_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        make_key(path)
    with pytest.raises(UnusableKey, match="holds no private key"):
        load_private(public_path(path))
    with pytest.raises(UnusableKey, match="holds no public key"):
        load_public(path)
    with adding_to(tmp_path / "a"), pytest.raises(CheckpointsInUse), adding_to(tmp_path / "a"):
        pass
