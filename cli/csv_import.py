"""The import of CSV files: read, map, publish. Memory use does not depend on the size of the files."""

import csv
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from cli.errors import UserError
from cli.producers import identifiers_of, producer_of
from cli.settings import Settings
from streams.csv_mapping import (
    FileRule,
    ImportMapping,
    MappedEvent,
    RowRejected,
    events_of,
    header_of_rejects,
    rows_of,
    rule_for,
)
from tandem import AsyncProducer, InvalidEvent, Undelivered


class Imported(NamedTuple):
    """What an import did."""

    rows: int
    events: int  #: acknowledged by the broker
    rejected: int  #: rows


class ImportFailed(UserError):
    """Kafka did not acknowledge everything. Import again: what has arrived is not applied twice."""


class _Rejects:
    """The rejects file, made when the first row is rejected."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self._path, self._stack = path, stack
        self._writer: Any = None
        self.rows = 0

    def add(self, file: Path, row: int, column: str, reason: str) -> None:
        """List one row."""
        if self._writer is None:
            self._writer = csv.writer(self._stack.enter_context(self._path.open("w", encoding="utf-8", newline="")))
            self._writer.writerow(header_of_rejects())
        self._writer.writerow((file.name, row, column, reason))
        self.rows += 1


async def import_files(
    settings: Settings, mapping: ImportMapping, files: list[Path], rejects_path: Path, *, quiet: bool
) -> Imported:
    """Publish the rows of all files. Raises UserError, InvalidFile or ImportFailed."""
    rules = [(path, rule_for(mapping, path)) for path in files]
    rows = events = 0
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with ExitStack() as stack:
        rejects = _Rejects(rejects_path, stack)
        bar = stack.enter_context(Progress(*columns, console=console, disable=quiet or not console.is_terminal))
        opened = [(path, rule, stack.enter_context(_open(path))) for path, rule in rules]
        try:
            async with AsyncExitStack() as producers_stack:
                producers = _Producers(settings, producers_stack)
                for path, rule, file in opened:
                    task = bar.add_task(path.name, total=path.stat().st_size)
                    for number, found in _mapped(path, rule, file, rejects):
                        rows += 1
                        events += await _publish(producers, path, number, found, rejects)
                        bar.update(task, completed=file.buffer.tell())
        except Undelivered as error:
            raise ImportFailed(f"{len(error.events)} events were not acknowledged: import again") from error
    return Imported(rows + rejects.rows, events, rejects.rows)


class _Producers:
    """One producer for each (department, source), started when it is first needed."""

    def __init__(self, settings: Settings, stack: AsyncExitStack) -> None:
        self._settings, self._stack = settings, stack
        self._started: dict[tuple[str, str], AsyncProducer] = {}

    async def of(self, department: str, source: str) -> AsyncProducer:
        """The producer of a source."""
        if (department, source) not in self._started:
            producer = producer_of(self._settings.kafka, department, source)
            self._started[department, source] = await self._stack.enter_async_context(producer)
        return self._started[department, source]


def _mapped(path: Path, rule: FileRule, file: TextIO, rejects: _Rejects) -> Any:
    for number, row in rows_of(file, rule, path.name):
        try:
            yield number, events_of(row, rule)
        except RowRejected as rejected:
            rejects.add(path, number, rejected.column, rejected.reason)


async def _publish(producers: _Producers, path: Path, row: int, events: list[MappedEvent], rejects: _Rejects) -> int:
    for event in events:
        producer = await producers.of(event.department, event.source)
        try:
            await producer.emit(
                event.type,
                version=event.version,
                id=event.id,
                occurred_at=event.occurred_at,
                identities=identifiers_of(event.identities),
                data=event.data,
            )
        except InvalidEvent as invalid:
            rejects.add(path, row, invalid.field, invalid.message)
            return 0
    return len(events)


def _open(path: Path) -> TextIO:
    try:
        return path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
