"""Every mistake gets one clear line and a non-zero exit code; nobody sees a traceback."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOWHERE = {"TANDEM_KAFKA": "127.0.0.1:1", "TANDEM_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}


def tandem(*arguments: str, folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the command in a folder where no stack runs."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TANDEM_")}
    return subprocess.run(
        [sys.executable, "-c", "from cli.main import main; main()", *arguments],
        env={**clean, "XDG_STATE_HOME": str(folder), "TANDEM_DATA_DIR": str(folder / "data"), **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def check(done: "subprocess.CompletedProcess[str]", *words: str) -> None:
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert lines[-1].startswith("tandem: "), done.stderr
    for word in words:
        assert word in lines[-1]


@pytest.mark.parametrize(
    "command",
    [
        *(["status"], ["down"], ["digest"], ["funnel"], ["journeys"], ["journey", "email:a@b.org"], ["dead-letters"]),
        *(["work"], ["serve"], ["migrate"], ["watch"]),
    ],
    ids=" ".join,
)
def test_no_stack(command: list[str], tmp_path: Path) -> None:
    check(tandem(*command, folder=tmp_path), "no stack")


@pytest.mark.parametrize("command", [["funnel"], ["journey", "email:a@b.org"], ["watch"]], ids=" ".join)
def test_wrong_api_port(command: list[str], tmp_path: Path) -> None:
    check(tandem(*command, folder=tmp_path, TANDEM_API="http://127.0.0.1:1"), "127.0.0.1:1")


@pytest.mark.parametrize("command", ["digest", "work", "serve", "status", "migrate"])
def test_wrong_server_ports(command: str, tmp_path: Path) -> None:
    done = tandem(command, folder=tmp_path, **NOWHERE)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr + done.stdout


def test_missing_mapping_and_files(tmp_path: Path) -> None:
    good = ROOT / "examples" / "olist" / "mapping.yaml"
    check(tandem("import", "--mapping", str(tmp_path / "none.yaml"), "x.csv", folder=tmp_path, **NOWHERE), "none.yaml")
    missing = str(tmp_path / "olist_closed_deals.csv")
    check(tandem("import", "--mapping", str(good), missing, folder=tmp_path, **NOWHERE), "olist_closed_deals.csv")


@pytest.mark.parametrize(
    "text", ["imports: 7", "imports: [", "imports: [{files: x, events: [{type: nonsense}]}]", "\0"]
)
def test_broken_mapping(text: str, tmp_path: Path) -> None:
    mapping, rows = tmp_path / "mapping.yaml", tmp_path / "x.csv"
    mapping.write_text(text)
    rows.write_text("a\n1\n")
    check(tandem("import", "--mapping", str(mapping), str(rows), folder=tmp_path, **NOWHERE), "mapping.yaml")


def test_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        check(tandem("up", "--port", port, folder=tmp_path), port, "in use")


def test_a_data_dir_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    check(tandem("up", "--data-dir", str(tmp_path / "file" / "data"), folder=tmp_path), "data dir")


def test_broken_playbook(tmp_path: Path) -> None:
    (tmp_path / "playbook.yaml").write_text("stages: 3")
    done = tandem("work", folder=tmp_path, **NOWHERE, TANDEM_PLAYBOOK=str(tmp_path / "playbook.yaml"))
    check(done, "playbook")


def test_wrong_usage_is_exit_code_2(tmp_path: Path) -> None:
    done = tandem("funnel", "--by", folder=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
