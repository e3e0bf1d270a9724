"""The supervisor behind `tandem up`: starts the parts, keeps them running, stops them in reverse order."""

import asyncio
import fcntl
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from audit.checkpoints import make_key
from cli.errors import NoStack, UserError
from cli.settings import STACK_FILE, access_settings, audit_files, current_file, kafka_settings, read_stack, secret
from cli.stack.migrate import prepare, publishes, works
from cli.stack.processes import ACCESS_OFF
from deploy.embedded.errors import KafkaUnavailable
from deploy.embedded.kafka import Kafka, start_kafka
from deploy.embedded.memory import start_memory_broker
from deploy.embedded.postgres import ENDED_BY, start_postgres
from deploy.embedded.process import StartFailed, free_port, is_listening, last_line, spawn, stop, wait_until
from store.migrate import create_database
from streams.kafka import feed_topics

_DATABASE = "tandem"
_OURS = 0o700  #: folders that are made here are for our eyes only: Kafka's log holds what systems wrote of people
_STEADY_SECONDS = 60.0  #: a part that ran for longer is started again at once
_RESTART_SECONDS = 10.0  #: pause before a part that keeps dying is started again, at most


class PortInUse(UserError):
    """Somebody listens on the port already. Stop that program, or choose another port."""


class AlreadyRunning(UserError):
    """A stack runs in this data dir. Use it, or stop it with `tandem down`."""


def run(folder: Path, port: int, agents: Sequence[str] = (), *, as_json: bool) -> None:
    """Start everything, print the addresses, and keep it running until SIGTERM or SIGINT."""
    with ended_by_signals() as ended, ExitStack() as stack:
        addresses, children = start(folder, port, stack, ended, agents)
        print_addresses(addresses, as_json=as_json)
        supervise(children, ended)


def start(
    folder: Path, port: int, stack: ExitStack, ended: Callable[[], bool], agents: Sequence[str] = ()
) -> tuple[dict[str, str], dict[str, "Child"]]:
    """Start the parts; `stack` stops them. Returns the addresses and the parts that are to be kept running."""
    say = Console(stderr=True, highlight=False).print
    _make(folder)
    stack.enter_context(_locked(folder))
    if is_listening(port):
        raise PortInUse(f"port {port} is in use: choose another one with --port")
    logs = folder / "logs"
    logs.mkdir(mode=_OURS, exist_ok=True)
    external = os.environ.get("TANDEM_KAFKA")
    servers: dict[str, Child] = {}
    broker = None if external else _embedded_kafka(folder, logs, stack, say, servers)
    bootstrap = broker.bootstrap if broker else str(external)
    database_url = secret("TANDEM_DATABASE_URL") or _embedded_postgres(folder, logs, stack, say, servers)
    environment = {"TANDEM_KAFKA": bootstrap, "TANDEM_DATABASE_URL": database_url}
    if broker and not broker.durable:
        environment["TANDEM_KAFKA_IDEMPOTENCE"] = "off"
    say("topics and tables")
    kafka = kafka_settings(bootstrap, {**os.environ, **environment})
    log_epoch = asyncio.run(prepare(kafka, database_url))
    if log_epoch is not None:
        say(f"the log of the broker before is gone with it: log epoch {log_epoch} begins; archive and journeys stay")
    _make_key(audit_files(folder).key)
    children = {
        "work": _command(["work"], logs / "work.log", environment),
        "serve": _command(["serve", "--port", str(port)], logs / "serve.log", environment),
        "sign": _command(["audit", "sign", "--data-dir", str(folder)], logs / "sign.log", environment),
    }
    if kafka.idempotent:
        children["publish"] = _command(["publish"], logs / "publish.log", environment)
    else:
        say("this broker has no transactions: the change feed is not published to topics")
    addresses = {"api": f"http://127.0.0.1:{port}", "kafka": bootstrap, "database_url": database_url}
    if agents:
        agents_port = _port(folder, "agents")
        named = [part for name in agents for part in ("--agents", name)]
        children["agents"] = _command(["agents", "--port", str(agents_port), *named], logs / "agents.log", environment)
        addresses["agents"] = f"http://127.0.0.1:{agents_port}"
    say(f"projector and API{' and agents' if agents else ''}")
    for child in children.values():
        stack.callback(child.stop)
        child.start()
    if access_settings() is None:
        say(ACCESS_OFF, soft_wrap=True)
    wait_until(
        lambda: ended() or _answers(addresses["api"]), children["serve"].process, children["serve"].log, "the API"
    )
    work = children["work"]
    wait_until(lambda: ended() or asyncio.run(works(database_url)), work.process, work.log, "the worker")
    if kafka.idempotent:
        publish, name = children["publish"], feed_topics(kafka).publisher
        wait_until(
            lambda: ended() or publish.ended() or asyncio.run(publishes(database_url, name)),
            publish.process,
            publish.log,
            "the publisher",
        )
    addresses["data_dir"] = str(folder.resolve())
    if broker and not broker.durable:
        addresses["kafka_idempotence"] = "off"
    _publish(folder, addresses)
    stack.callback((folder / STACK_FILE).unlink, missing_ok=True)
    return addresses, servers | children


def _make_key(path: Path) -> None:
    """The stack's own key, unless there is one."""
    if not path.exists():
        path.parent.mkdir(mode=_OURS, parents=True, exist_ok=True)
        make_key(path)


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


def _command(arguments: list[str], log: Path, environment: Mapping[str, str]) -> Child:
    """A command of `tandem` as a part."""
    return Child(arguments[0], log, lambda: spawn([*_tandem(), *arguments], log, environment))


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


def start_detached(folder: Path, port: int, agents: Sequence[str] = ()) -> dict[str, str]:
    """Start `tandem up` in the background and wait until it is ready. Raises StartFailed with its last words."""
    _make(folder)
    with _locked(folder):
        (folder / "logs").mkdir(mode=_OURS, exist_ok=True)
        log = folder / "logs" / "up.log"
        log.unlink(missing_ok=True)
    if is_listening(port):
        raise PortInUse(f"port {port} is in use: choose another one with --port")
    named = [part for name in agents for part in ("--agents", name)]
    process = spawn([*_tandem(), "up", "--data-dir", str(folder), "--port", str(port), *named], log, tied=False)
    try:
        with Console(stderr=True).status("starting the stack"):
            wait_until(lambda: read_stack(folder) is not None, process, log, "the stack", seconds=180)
    except KeyboardInterrupt:
        stop(process)
        raise
    except StartFailed as error:
        stop(process)
        raise StartFailed(last_line(log).removeprefix("tandem: ")) from error
    process.returncode = 0  # it goes on without us
    if access_settings() is None:
        print(ACCESS_OFF, file=sys.stderr)
    return read_stack(folder) or {}


def stop_running(folder: Path) -> None:
    """Stop the stack of a data dir and wait until it has stopped. Raises NoStack."""
    found = read_stack(folder)
    if found is None or not _is_locked(folder):
        raise NoStack(f"no stack is running in {folder}")
    os.kill(int(found["pid"]), signal.SIGTERM)
    deadline = time.monotonic() + 60
    while _is_locked(folder):
        if time.monotonic() > deadline:
            raise UserError(f"the stack (process {found['pid']}) does not stop: see {folder / 'logs'}")
        time.sleep(0.05)


def print_addresses(addresses: Mapping[str, Any], *, as_json: bool) -> None:
    """Print where everything is; the database's password is left to stack.json."""
    hidden = ("database_url", "pid", "kafka_idempotence")
    shown = {name: value for name, value in addresses.items() if name not in hidden}
    if as_json:
        print(json.dumps(shown), flush=True)
        return
    for name, value in shown.items():
        print(f"{name:9} {value}", flush=True)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=_OURS, parents=True, exist_ok=True)
        probe = folder / f".writable-{secrets.token_hex(4)}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"the data dir {folder} cannot be used: {error.strerror}; choose another --data-dir") from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise AlreadyRunning(f"a stack is running in {folder} already: see `tandem status`") from error
        (folder / STACK_FILE).unlink(missing_ok=True)  # of a supervisor that was killed
        yield


def _is_locked(folder: Path) -> bool:
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _embedded_kafka(
    folder: Path, logs: Path, stack: ExitStack, say: Callable[[str], None], servers: dict[str, Child]
) -> Kafka:
    """Apache Kafka; where it cannot run and has kept nothing here, a broker in memory.

    That one is not among the `servers` that are started again: what it held is lost, and a log epoch over.
    """
    say("Kafka")
    home, port, log = folder / "kafka", _port(folder, "kafka"), logs / "kafka.log"
    home.mkdir(mode=_OURS, exist_ok=True)
    child = Child("Kafka", log, lambda: start_kafka(home, port, log).process)
    stack.callback(child.stop)
    try:
        broker = start_kafka(home, port, log)
        servers["kafka"] = child
    except KafkaUnavailable as error:
        if (home / "log").exists():
            raise
        say(f"{error}. Until then a broker in memory takes its place: what it holds is gone when the stack stops")
        broker = start_memory_broker(port, log)
    child.process = broker.process
    return broker


def _embedded_postgres(
    folder: Path, logs: Path, stack: ExitStack, say: Callable[[str], None], servers: dict[str, Child]
) -> str:
    say("PostgreSQL")
    home, port, log = folder / "postgres", _port(folder, "postgres"), logs / "postgres.log"
    server = start_postgres(home, port, log)
    child = Child("PostgreSQL", log, lambda: start_postgres(home, port, log).process, ENDED_BY)
    child.process = server.process
    stack.callback(child.stop)
    servers["postgres"] = child
    return asyncio.run(create_database(server.url, _DATABASE))


def _port(folder: Path, name: str) -> int:
    """The port this part had last time, if it is free; else another one."""
    remembered = folder / f"{name}.port"
    port = int(remembered.read_text("ascii")) if remembered.exists() else free_port()
    if is_listening(port):
        port = free_port()
    remembered.write_text(str(port), "ascii")
    return port


def _answers(api: str) -> bool:
    try:
        return httpx.get(f"{api}/readyz", timeout=2).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _publish(folder: Path, addresses: dict[str, str]) -> None:
    """Write stack.json at once and for our eyes only: it holds the database's password."""
    draft = folder / f"{STACK_FILE}.draft"
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(addresses | {"pid": str(os.getpid())}), "utf-8")
    draft.replace(folder / STACK_FILE)
    current_file().parent.mkdir(parents=True, exist_ok=True)
    current_file().write_text(str(folder.resolve()), "utf-8")


def _tandem() -> list[str]:
    return [sys.executable, "-c", "from cli.main import main; main()"]
