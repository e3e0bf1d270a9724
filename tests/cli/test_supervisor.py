"""What `tandem up` makes, and what it says of parts that end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from cli.stack import servers
from cli.stack.child import Child
from cli.stack.supervisor import start
from deploy.embedded import kafka
from deploy.embedded.process import StartFailed, free_port, spawn


def mode(folder: Path) -> int:
    return folder.stat().st_mode & 0o777


@pytest.fixture
def no_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise StartFailed("this was all")

    monkeypatch.delenv("TANDEM_KAFKA", raising=False)
    monkeypatch.setattr(servers, "start_kafka", fail)


@pytest.mark.usefixtures("no_kafka")
def test_folders_are_for_our_eyes_only(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with pytest.raises(StartFailed, match="this was all"), ExitStack() as stack:
        start(data, free_port(), stack, lambda: False)
    assert [mode(folder) for folder in (data, data / "logs", data / "kafka")] == [0o700] * 3


@pytest.mark.usefixtures("no_kafka")
def test_folders_that_are_there_are_left_as_they_are(tmp_path: Path) -> None:
    for name in ("logs", "kafka"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o750)
    tmp_path.chmod(0o755)
    with pytest.raises(StartFailed, match="this was all"), ExitStack() as stack:
        start(tmp_path, free_port(), stack, lambda: False)
    assert [mode(folder) for folder in (tmp_path, tmp_path / "logs", tmp_path / "kafka")] == [0o755, 0o750, 0o750]


def test_kafka_s_folder_alone_is_for_our_eyes_only_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "java_program", lambda: sys.executable)
    monkeypatch.setattr(kafka, "class_path", lambda: "")
    with pytest.raises(StartFailed):
        kafka.start_kafka(tmp_path / "kafka", free_port(), tmp_path / "kafka.log")
    assert mode(tmp_path / "kafka") == 0o700


@pytest.mark.parametrize(
    ("program", "end", "says"),
    [
        ("time.sleep(60)", lambda pid: os.kill(pid, signal.SIGKILL), "serve was killed by signal 9; starting it again"),
        ("sys.exit('so it goes')", lambda pid: None, "serve ended (exit code 1): so it goes; starting it again"),
    ],
)
def test_how_a_part_ended(
    program: str,
    end: Callable[[int], None],
    says: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = tmp_path / "serve.log"
    child = Child("serve", log, lambda: spawn([sys.executable, "-c", f"import sys, time; {program}"], log))
    log.write_text("an unrelated line\n")
    child.start()
    end(child.process.pid)
    child.process.wait(30)
    child.keep()
    assert says in capsys.readouterr().err


def test_a_part_that_cannot_start_yet_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a server on a disk that is full."""
    tries, log, now = [], tmp_path / "server.log", [1.0]
    log.write_text("no space left\n")
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def begin() -> "subprocess.Popen[bytes]":
        tries.append(now[0])
        if 2 <= len(tries) <= 3:
            raise StartFailed("no space left")
        return spawn([sys.executable, "-c", "import time; time.sleep(60)"], log)

    server = Child("server", log, begin)
    server.start()
    server.process.kill()
    server.process.wait(30)
    for _ in range(20):
        server.keep()
        now[0] += 0.5
    assert len(tries) == 4
    assert not server.ended()
    server.stop()
    assert server.ended()
