"""Which versions were compared: read from what runs, never typed."""

import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import asyncpg

_BENCH = Path(__file__).parents[1]
_BROKER = _BENCH.parent / "deploy" / "embedded" / "pom.xml"
_STREAMS = Path(__file__).with_name("kafka-streams") / "pom.xml"


async def versions(postgres_url: str) -> dict[str, str]:
    """Name -> version."""
    connection = await asyncpg.connect(postgres_url)
    postgresql = str(await connection.fetchval("SHOW server_version"))
    await connection.close()
    return {
        "kafka": _pinned(_BROKER, "kafka"),
        "postgresql": postgresql,
        "kafka_streams": _pinned(_STREAMS, "kafka-streams"),
        "faust": version("faust-streaming"),
        "aiokafka": version("aiokafka"),
        "asyncpg": version("asyncpg"),
        "python": platform.python_version(),
        "java": _java(),
    }


def _pinned(pom: Path, name: str) -> str:
    found = re.search(rf"<{name}\.version>([^<]+)<", pom.read_text("utf-8"))
    assert found is not None, f"{pom} pins no version of {name}"
    return found[1]


def _java() -> str:
    said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=True).stderr
    found = re.search(r'version "([^"]+)"', said)
    return found[1] if found is not None else said.strip()
