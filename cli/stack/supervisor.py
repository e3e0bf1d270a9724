"""The supervisor behind `tandem up`: starts the parts, keeps them running, stops them in reverse order."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from rich.console import Console

from audit.checkpoints import make_key
from cli.errors import NoStack, UserError
from cli.settings import STACK_FILE, access_settings, audit_files, kafka_settings, read_stack, secret
from cli.stack.child import Child, command, ended_by_signals, supervise, tandem
from cli.stack.data_dir import OWNER_ONLY, announce, is_locked, locked, make_folder, remembered_port
from cli.stack.migrate import prepare, publishes, works
from cli.stack.processes import ACCESS_OFF
from cli.stack.servers import embedded_kafka, embedded_postgres
from deploy.embedded.process import StartFailed, is_listening, last_line, spawn, stop, wait_until
from streams.kafka import KafkaSettings, feed_topics


class PortInUse(UserError):
    """Another program listens on the port. Stop it, or choose another port."""


class _Servers(NamedTuple):
    """Kafka and PostgreSQL, embedded or the user's own."""

    kafka: KafkaSettings
    database_url: str
    durable: bool  #: whether the broker keeps its records when the stack stops
    embedded: dict[str, Child]  #: to be kept running
    environment: dict[str, str]  #: how the parts find them


def run(folder: Path, port: int, agents: Sequence[str] = (), *, as_json: bool) -> None:
    """Start everything, print the addresses, and keep it running until SIGTERM or SIGINT."""
    with ended_by_signals() as ended, ExitStack() as stack:
        addresses, children = start(folder, port, stack, ended, agents)
        print_addresses(addresses, as_json=as_json)
        supervise(children, ended)


def start(
    folder: Path, port: int, stack: ExitStack, ended: Callable[[], bool], agents: Sequence[str] = ()
) -> tuple[dict[str, str], dict[str, Child]]:
    """Start the parts; `stack` stops them. Returns the addresses and the parts that are to be kept running."""
    say = Console(stderr=True, highlight=False).print
    make_folder(folder)
    stack.enter_context(locked(folder))
    _check_free(port)
    logs = folder / "logs"
    logs.mkdir(mode=OWNER_ONLY, exist_ok=True)
    servers = _servers(folder, logs, stack, say)
    say("topics and tables")
    log_epoch = asyncio.run(prepare(servers.kafka, servers.database_url))
    if log_epoch is not None:
        say(f"the previous broker's log went with it: log epoch {log_epoch} begins; archive and journeys stay")
    _make_key(audit_files(folder).key)
    addresses = {
        "api": f"http://127.0.0.1:{port}",
        "kafka": servers.kafka.bootstrap,
        "database_url": servers.database_url,
    }
    children = _parts(folder, port, logs, servers)
    if agents:
        agents_port = remembered_port(folder, "agents")
        arguments = ["agents", "--port", str(agents_port), *_named(agents)]
        children["agents"] = command(arguments, logs / "agents.log", servers.environment)
        addresses["agents"] = f"http://127.0.0.1:{agents_port}"
    if not servers.kafka.idempotent:
        say("this broker has no transactions: the change feed is not published to topics")
    say(f"projector and API{' and agents' if agents else ''}")
    for child in children.values():
        stack.callback(child.stop)
        child.start()
    if access_settings() is None:
        say(ACCESS_OFF, soft_wrap=True)
    _wait(children, addresses["api"], servers, ended)
    addresses["data_dir"] = str(folder.resolve())
    if not servers.durable:
        addresses["kafka_idempotence"] = "off"
    announce(folder, addresses)
    stack.callback((folder / STACK_FILE).unlink, missing_ok=True)
    return addresses, servers.embedded | children


def _check_free(port: int) -> None:
    if is_listening(port):
        raise PortInUse(f"port {port} is in use: choose another one with --port")


def _servers(folder: Path, logs: Path, stack: ExitStack, say: Callable[[str], None]) -> _Servers:
    """The servers that the environment names, and embedded ones for those that it does not."""
    external = os.environ.get("TANDEM_KAFKA")
    embedded: dict[str, Child] = {}
    broker = None if external else embedded_kafka(folder, logs, stack, say, embedded)
    bootstrap = broker.bootstrap if broker else str(external)
    database_url = secret("TANDEM_DATABASE_URL") or embedded_postgres(folder, logs, stack, say, embedded)
    environment = {"TANDEM_KAFKA": bootstrap, "TANDEM_DATABASE_URL": database_url}
    durable = broker is None or broker.durable
    if not durable:
        environment["TANDEM_KAFKA_IDEMPOTENCE"] = "off"
    kafka = kafka_settings(bootstrap, {**os.environ, **environment})
    return _Servers(kafka, database_url, durable, embedded, environment)


def _make_key(path: Path) -> None:
    """The stack's own key, unless there is one."""
    if not path.exists():
        path.parent.mkdir(mode=OWNER_ONLY, parents=True, exist_ok=True)
        make_key(path)


def _parts(folder: Path, port: int, logs: Path, servers: _Servers) -> dict[str, Child]:
    """Worker, API, signer and, where the broker has transactions, publisher: not started."""
    arguments = {
        "work": ["work"],
        "serve": ["serve", "--port", str(port)],
        "sign": ["audit", "sign", "--data-dir", str(folder)],
    }
    if servers.kafka.idempotent:
        arguments["publish"] = ["publish"]
    return {name: command(given, logs / f"{name}.log", servers.environment) for name, given in arguments.items()}


def _named(agents: Sequence[str]) -> list[str]:
    return [part for name in agents for part in ("--agents", name)]


def _wait(children: Mapping[str, Child], api: str, servers: _Servers, ended: Callable[[], bool]) -> None:
    """Until API, worker and publisher do their work. Raises StartFailed."""
    database_url = servers.database_url
    serve, work, publish = children["serve"], children["work"], children.get("publish")
    wait_until(lambda: ended() or _answers(api), serve.process, serve.log, "the API")
    wait_until(lambda: ended() or asyncio.run(works(database_url)), work.process, work.log, "the worker")
    if publish is not None:
        name = feed_topics(servers.kafka).publisher
        wait_until(
            lambda: ended() or publish.ended() or asyncio.run(publishes(database_url, name)),
            publish.process,
            publish.log,
            "the publisher",
        )


def _answers(api: str) -> bool:
    try:
        return httpx.get(f"{api}/readyz", timeout=2).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def start_detached(folder: Path, port: int, agents: Sequence[str] = ()) -> dict[str, str]:
    """Start `tandem up` in the background and wait until it is ready. Raises StartFailed with its last words."""
    make_folder(folder)
    with locked(folder):
        (folder / "logs").mkdir(mode=OWNER_ONLY, exist_ok=True)
        log = folder / "logs" / "up.log"
        log.unlink(missing_ok=True)
    _check_free(port)
    process = spawn([*tandem(), "up", "--data-dir", str(folder), "--port", str(port), *_named(agents)], log, tied=False)
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
    stack = read_stack(folder)
    if stack is None or not is_locked(folder):
        raise NoStack(f"no stack is running in {folder}")
    os.kill(int(stack["pid"]), signal.SIGTERM)
    deadline = time.monotonic() + 60
    while is_locked(folder):
        if time.monotonic() > deadline:
            raise UserError(f"the stack (process {stack['pid']}) does not stop: see {folder / 'logs'}")
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
