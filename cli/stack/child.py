"""A part of the stack that runs as a process of its own, and is started again when it dies."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from deploy.embedded.process import StartFailed, last_line, spawn, stop

_STEADY_SECONDS = 60.0  #: a part that ran for longer is started again at once
_RESTART_SECONDS = 10.0  #: longest pause before a part that keeps dying is started again


class Child:
    """A part that runs as a process of its own and is started again when it dies."""

    def __init__(
        self,
        name: str,
        log: Path,
        begin: "Callable[[], subprocess.Popen[bytes]]",
        ended_by: signal.Signals = signal.SIGTERM,
    ) -> None:
        """`begin` starts it, or raises StartFailed; `ended_by` is the signal on which it ends in order."""
        self.name, self.log = name, log
        self._begin, self._ended_by = begin, ended_by
        self.deaths = 0
        self.started = 0.0  #: on the monotonic clock
        self.due = 0.0  #: on the monotonic clock: when it may start again
        self.process: subprocess.Popen[bytes]

    def start(self) -> None:
        """Start it."""
        self.started = time.monotonic()
        self.process = self._begin()

    def stop(self) -> None:
        """Stop it, if it runs."""
        if hasattr(self, "process"):
            stop(self.process, self._ended_by)

    def ended(self) -> bool:
        """Whether it runs no more."""
        return self.process.poll() is not None

    def keep(self) -> None:
        """Start it again if it has died: at once the first time, with growing pauses then."""
        if not self.ended():
            return
        now = time.monotonic()
        if self.due == 0.0:
            if now - self.started > _STEADY_SECONDS:
                self.deaths = 0
            pause = min(_RESTART_SECONDS, 0.2 * 2**self.deaths)
            self.deaths, self.due = self.deaths + 1, now + pause
            line = f"{self.name} {self._end()}; starting it again in {pause:.1f} s"
            print(f"tandem: {line}", file=sys.stderr, flush=True)
        elif now >= self.due:
            self.due = 0.0
            with suppress(StartFailed):  # then it is still dead
                self.start()

    def _end(self) -> str:
        """How it ended; who is killed says nothing about it."""
        code = self.process.returncode
        return f"was killed by signal {-code}" if code < 0 else f"ended (exit code {code}): {last_line(self.log)}"


def command(arguments: list[str], log: Path, environment: Mapping[str, str]) -> Child:
    """A command of `tandem` as a part."""
    return Child(arguments[0], log, lambda: spawn([*tandem(), *arguments], log, environment))


def tandem() -> list[str]:
    """The command `tandem` of this installation, as a process."""
    return [sys.executable, "-c", "from cli.main import main; main()"]


def supervise(children: dict[str, Child], ended: Callable[[], bool]) -> None:
    """Keep the children running until `ended`."""
    while not ended():
        for child in children.values():
            child.keep()
        time.sleep(0.1)


@contextmanager
def ended_by_signals() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM or SIGINT came; while inside, they end nothing by themselves."""
    came: list[int] = []
    before = {sign: signal.signal(sign, lambda *_: came.append(1)) for sign in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: bool(came)
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)
