"""`tandem audit`: keys, checkpoints, proofs, and what it says of records that were changed."""

import json
from pathlib import Path

import asyncpg

from streams.kafka import KafkaSettings
from tests.commands import Done, command
from tests.support import body, produce, project


async def _audit(database_url: str, folder: Path, *arguments: str) -> Done:
    environment = {
        "TANDEM_DATABASE_URL": database_url,
        "TANDEM_KAFKA": "127.0.0.1:1",
        "TANDEM_AUDIT_KEY": str(folder / "key.pem"),
        "TANDEM_CHECKPOINTS": str(folder / "checkpoints.jsonl"),
    }
    return await command(environment, "audit", *arguments)


def _write(path: str, text: str) -> None:
    Path(path).write_text(text, "utf-8")


def _read(path: str) -> str:
    return Path(path).read_text("utf-8")


async def test_an_auditor_s_day(kafka_settings: KafkaSettings, database_url: str, tmp_path: Path) -> None:
    async def audit(*arguments: str) -> Done:
        return await _audit(database_url, tmp_path, *arguments)

    proof = str(tmp_path / "proof.json")
    await produce(kafka_settings, [("marketing", 0, body(n)) for n in range(50)])
    await project(kafka_settings, database_url, 50)
    assert "No such file" in (await audit("sign", "--once")).err
    assert (await audit("key", str(tmp_path / "key.pem"))).code == 0
    assert "exists" in (await audit("key", str(tmp_path / "key.pem"))).err
    assert "batches signed at" in (await audit("sign", "--once")).out
    assert "nothing was committed" in (await audit("sign", "--once")).out
    sound = await audit("verify", "--json")
    assert sound.code == 0, sound
    found = json.loads(sound.out)
    assert (found["sound"], found["events"], found["checkpoints"], found["findings"]) == (True, 50, 1, [])
    assert "name what is to be proven" in (await audit("proof")).err
    assert "no checkpoint is over 77" in (await audit("proof", "--since", "77")).err
    assert (await audit("proof", "--batch", "1", "-o", proof)).code == 0
    assert "batch 1 was among" in (await audit("check", proof)).out
    _write(proof, "{}")
    assert "is no proof" in (await audit("check", proof)).err
    for name in ("report.html", "report.json"):
        report = str(tmp_path / name)
        made = await audit("report", "--from", "2020-01-01", "-o", report)
        assert (made.code, "adds up" in made.out) == (0, True), made
        assert "as it was signed" in (await audit("check", report)).out
        _write(report, _read(report).replace('"applied": 50', '"applied": 51').replace('"applied":50', '"applied":51'))
        assert "is not what key" in (await audit("check", report)).err
    assert "write a time with its offset" in (await audit("report", "--from", "yesterday")).err
    assert "--to does not lie after" in (await audit("report", "--from", "2020-01-02", "--to", "2020-01-01")).err
    assert ".html for people" in (await audit("report", "--from", "2020-01-01", "-o", str(tmp_path / "report"))).err
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE archive SET names = '{}' WHERE bucket = (SELECT min(bucket) FROM archive)")
    await connection.close()
    changed = await audit("verify")
    assert (changed.code, "batch 1: archive, bucket" in changed.out) == (1, True), changed
    assert "are NOT as they were committed" in changed.out
    wrong = await audit("report", "--from", "2020-01-01", "-o", str(tmp_path / "wrong.html"))
    assert (wrong.code, "something is WRONG" in wrong.out) == (1, True), wrong
    _write(str(tmp_path / "checkpoints.jsonl"), "nothing\n")
    assert "line 1: this is not a checkpoint" in (await audit("verify")).out
