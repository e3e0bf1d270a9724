"""The data directory of a stack: who holds it, what it says about the running stack, the ports it remembers."""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.errors import UserError
from cli.settings import STACK_FILE, current_file
from deploy.embedded.process import free_port, is_listening

OWNER_ONLY = 0o700  #: mode of folders that are made here: Kafka's log holds what systems wrote about people


class AlreadyRunning(UserError):
    """A stack runs in this data directory. Use it, or stop it with `tandem down`."""


def make_folder(folder: Path) -> None:
    """Create the data directory, if it is missing. Raises UserError where it cannot be written."""
    try:
        folder.mkdir(mode=OWNER_ONLY, parents=True, exist_ok=True)
        probe = folder / f".writable-{secrets.token_hex(4)}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"the data dir {folder} cannot be used: {error.strerror}; choose another --data-dir") from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the data directory for one stack. Raises AlreadyRunning."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise AlreadyRunning(f"a stack is running in {folder} already: see `tandem status`") from error
        (folder / STACK_FILE).unlink(missing_ok=True)  # of a supervisor that was killed
        yield


def is_locked(folder: Path) -> bool:
    """Whether a stack holds the data directory."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def remembered_port(folder: Path, name: str) -> int:
    """The port this part had last time, if it is free; else another one."""
    remembered = folder / f"{name}.port"
    port = int(remembered.read_text("ascii")) if remembered.exists() else free_port()
    if is_listening(port):
        port = free_port()
    remembered.write_text(str(port), "ascii")
    return port


def announce(folder: Path, addresses: dict[str, str]) -> None:
    """Write stack.json, at once and readable by its owner only: it holds the database's password."""
    draft = folder / f"{STACK_FILE}.draft"
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(addresses | {"pid": str(os.getpid())}), "utf-8")
    draft.replace(folder / STACK_FILE)
    current_file().parent.mkdir(parents=True, exist_ok=True)
    current_file().write_text(str(folder.resolve()), "utf-8")
