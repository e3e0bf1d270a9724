"""`tandem erase` against a running worker."""

import json
from pathlib import Path

import asyncpg

from audit.checkpoints import make_key
from streams.kafka import KafkaSettings
from tests.commands import Done, command
from tests.support import body, produce, until, worker


async def _tandem(kafka: KafkaSettings, database_url: str, folder: Path, *arguments: str) -> Done:
    environment = {
        "TANDEM_DATABASE_URL": database_url,
        "TANDEM_KAFKA": kafka.bootstrap,
        "TANDEM_TOPIC_PREFIX": kafka.topic_prefix,
        "TANDEM_PARTITIONS": str(kafka.partitions),
        "TANDEM_AUDIT_KEY": str(folder / "key.pem"),
    }
    return await command(environment, *arguments)


def _text(file: Path) -> str:
    return file.read_text("utf-8")


async def test_a_person_is_erased(kafka_settings: KafkaSettings, database_url: str, tmp_path: Path) -> None:
    who = ("--reason", "request 4711", "--by", "dpo")

    async def erase(*arguments: str) -> Done:
        return await _tandem(kafka_settings, database_url, tmp_path, "erase", *arguments, *who)

    file = tmp_path / "ana.json"
    make_key(tmp_path / "key.pem")
    events = [body(n, who={"email": "ana@example.org", "user_id": "ana"}) for n in range(5)]
    await produce(kafka_settings, [("marketing", 0, value) for value in [*events, body(9)]])
    connection = await asyncpg.connect(database_url)

    async def applied() -> bool:
        return bool(await connection.fetchval("SELECT sum(applied) = 6 FROM partitions"))

    async with worker(kafka_settings, database_url):
        await until(applied)
        assert "names no person" in (await erase("account:example.org")).err
        assert "nothing is stored" in (await erase("email:nobody@example.org")).err
        exported = await _tandem(
            kafka_settings, database_url, tmp_path, "export", "person", "email:Ana@example.org", "-o", str(file)
        )
        assert exported.code == 0, exported
        found = json.loads(_text(file))
        assert [one["event"] for one in found["events"]] == [json.loads(value) for value in events]
        assert found["journey"]["version"] == 5
        tried = await erase("email:ana@example.org", "--dry-run")
        assert "email:ana@example.org" in tried.err
        assert "user_id:ana" in tried.err
        assert "5 events; 0 of them name somebody else" in tried.err
        assert (await erase("email:ana@example.org")).code == 1, "nobody said yes"
        assert await connection.fetchval("SELECT count(*) FROM journeys") == 2
        done = await erase("email:ana@example.org", "--yes", "--json", "--rewrite")
        assert done.code == 0, done
        made = json.loads(done.out)
        assert (made["records_erased"], made["found"], made["tables_rewritten"]) == (5, [], True)
        assert made["signature"]
        assert "example.org" not in done.out
        assert await connection.fetchval("SELECT count(*) FROM journeys") == 1
        assert "nothing is stored" in (await erase("email:ana@example.org")).err
    await connection.close()
