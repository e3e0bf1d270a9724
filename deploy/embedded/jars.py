"""Apache Kafka's jars: named in kafka-jars.txt with their hashes, fetched once for each user, checked at each start."""

import hashlib
import os
import secrets
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import httpx
from maven_artifact import Artifact, Downloader
from platformdirs import user_cache_path
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from deploy.embedded.errors import KafkaUnavailable

PINNED = Path(__file__).with_name("kafka-jars.txt")
_THREADS = 16
_SECONDS = 30.0  #: without a byte from the repository
_TRIES = 3


class Jar(NamedTuple):
    """A file of the Maven repository, as it must be."""

    group: str
    artifact: str
    version: str
    size: int  #: bytes
    sha256: str  #: in hex

    @property
    def name(self) -> str:
        """The file's name."""
        return f"{self.artifact}-{self.version}.jar"


def pinned_jars() -> list[Jar]:
    """What kafka-jars.txt names: `group:artifact:version size sha256` a line, in the order of the class path."""
    jars = []
    for line in PINNED.read_text("utf-8").splitlines():
        coordinates, size, sha256 = line.split()
        group, artifact, version = coordinates.split(":")
        jars.append(Jar(group, artifact, version, int(size), sha256))
    return jars


def class_path() -> str:
    """Java's class path of all pinned jars; those that this user does not have are fetched. Raises KafkaUnavailable."""
    folder = cache_folder() / "kafka"
    jars = pinned_jars()
    missing = [jar for jar in jars if not _is_whole(folder / jar.name, jar)]
    if missing:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _fetch(missing, folder)
        except OSError as error:
            raise KafkaUnavailable(
                f"Apache Kafka's jars cannot be kept in {folder} ({error.strerror}): "
                "set XDG_CACHE_HOME to a folder that you may write to"
            ) from error
    return os.pathsep.join(str(folder / jar.name) for jar in jars)


def cache_folder() -> Path:
    """Where this user keeps what was fetched; beside other temporary files where the user has no home."""
    folder = user_cache_path("tandem", appauthor=False)
    return folder if folder.is_absolute() else Path(tempfile.gettempdir()) / f"tandem-{os.getuid()}"


def _is_whole(file: Path, jar: Jar) -> bool:
    return file.is_file() and file.stat().st_size == jar.size and _sha256(file.read_bytes()) == jar.sha256


def _fetch(jars: list[Jar], folder: Path) -> None:
    console = Console(file=sys.stderr)
    columns = (TextColumn("fetching Apache Kafka (once)"), BarColumn(), DownloadColumn())
    with (
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress,
        httpx.Client(timeout=_SECONDS, follow_redirects=True) as client,
        ThreadPoolExecutor(_THREADS) as pool,
    ):
        task = progress.add_task("", total=sum(jar.size for jar in jars))

        def fetch(jar: Jar) -> None:
            _keep(folder / jar.name, _download(client, jar))
            progress.advance(task, jar.size)

        try:
            for _ in pool.map(fetch, jars):
                pass
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _download(client: httpx.Client, jar: Jar) -> bytes:
    """The jar's bytes, checked. Raises KafkaUnavailable."""
    url = Downloader().resolver.uri_for_artifact(Artifact(jar.group, jar.artifact, jar.version))
    for left in reversed(range(_TRIES)):
        try:
            content = client.get(url).raise_for_status().content
        except httpx.HTTPError as error:
            if left == 0:
                raise KafkaUnavailable(
                    f"Apache Kafka's jars could not be fetched from {httpx.URL(url).host} "
                    f"({type(error).__name__}): they are needed once, so try again when the network is there"
                ) from error
        else:
            break
    if _sha256(content) != jar.sha256:
        raise KafkaUnavailable(f"{httpx.URL(url).host} gave another {jar.name} than the pinned one: nothing was kept")
    return content


def _keep(file: Path, content: bytes) -> None:
    """Write a file whole or not at all: another process may be fetching the same one."""
    part = file.with_name(f"{file.name}.{secrets.token_hex(4)}.part")
    try:
        part.write_bytes(content)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
