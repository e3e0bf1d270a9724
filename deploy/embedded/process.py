"""Programs of the embedded stack: started, watched until they are ready, stopped."""

import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from schemas.errors import TandemError

_PR_SET_PDEATHSIG = 1


class StartFailed(TandemError):
    """A part of the stack did not become ready; the message has its last words.

    Correct what they say, and start again.
    """


def free_port() -> int:
    """A TCP port on the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_listening(port: int) -> bool:
    """Whether someone accepts connections on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def spawn(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None, *, tied: bool = True
) -> "subprocess.Popen[bytes]":
    """Start a program with its output in `log`. A tied program ends when its parent dies, whatever the reason."""
    with log.open("ab") as output:
        return subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
            preexec_fn=_end_with_parent if tied else None,  # noqa: PLW1509 (only prctl is called; no locks are taken)
        )


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def wait_until(
    ready: Callable[[], bool], process: "subprocess.Popen[bytes]", log: Path, name: str, seconds: float = 60.0
) -> None:
    """Wait for a condition. Raises StartFailed when the program ends or the time is over."""
    deadline = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None:
            raise StartFailed(f"{name} ended while starting (exit code {process.returncode}): {last_line(log)}")
        if time.monotonic() > deadline:
            raise StartFailed(f"{name} is not ready after {seconds:.0f} s: {last_line(log)}")
        time.sleep(0.05)


def last_line(log: Path) -> str:
    """The last line of a log that is not empty."""
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines()[-50:] if line.strip()]
    return lines[-1] if lines else f"nothing was logged in {log}"


def stop(process: "subprocess.Popen[bytes]", sign: int = signal.SIGTERM, seconds: float = 20.0) -> None:
    """Stop a program, by force if it does not end by itself."""
    if process.poll() is not None:
        return
    process.send_signal(sign)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
