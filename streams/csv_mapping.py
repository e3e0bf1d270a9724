"""Mapping: rows of CSV files into events. Pure: the same row always gives the same event."""

import csv
import fnmatch
import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TextIO
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from projections.playbook.strict_yaml import load_model
from schemas.departments import TopicDepartment as Department
from schemas.envelope import TYPE_PATTERN, IdentityType
from schemas.errors import TandemError
from schemas.ids import event_id


class InvalidMapping(TandemError):
    """The mapping file cannot be read or breaks a rule. Correct the field that the message names."""


class InvalidFile(TandemError):
    """A CSV file cannot be mapped as a whole: no rule fits its name, or a column is missing.

    Correct the file or the mapping.
    """


class RowRejected(TandemError):
    """One row cannot be mapped. Correct it in the source, and import the file again."""

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(f"{column}: {reason}")
        self.column = column
        self.reason = reason


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Value(_Strict):
    """Where a value comes from: a column, or a constant."""

    column: str | None = None
    const: str | int | bool | None = None
    when_empty: str | int | None = None  #: what an empty cell means; by default the field is left out
    type: Literal["text", "integer", "boolean"] = "text"


class When(_Strict):
    """The time of the event: a column read with a strptime format, in a time zone."""

    column: str
    format: str
    timezone: str = "UTC"

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"no time zone is named {name!r}") from error
        return name


class IdentityColumn(_Strict):
    type: IdentityType
    column: str


class EventRule(_Strict):
    """How one row becomes one event."""

    type: Annotated[str, Field(pattern=TYPE_PATTERN)]
    version: int = 1
    department: Department
    source: Annotated[str, Field(min_length=1, max_length=256)]
    id: Annotated[list[str], Field(min_length=1)]  #: columns that identify the fact at its source
    occurred_at: When
    identities: Annotated[list[IdentityColumn], Field(min_length=1)]
    data: dict[str, str | Value] = {}  #: field: column, or a Value
    traits: dict[str, str | Value] = {}

    @model_validator(mode="before")
    @classmethod
    def _accept_owner(cls, rule: Any) -> Any:
        """Version 0.2 accepts the old spelling of `department`."""
        if not isinstance(rule, dict) or "owner" not in rule or "department" in rule:
            return rule
        warnings.warn("`owner:` in a mapping is deprecated: write `department:`", FutureWarning, stacklevel=2)
        return {"department" if key == "owner" else key: value for key, value in rule.items()}


class FileRule(_Strict):
    """Which files, and the events that each of their rows makes."""

    files: str  #: shell pattern of the file's name
    events: Annotated[list[EventRule], Field(min_length=1)]
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","


class ImportMapping(_Strict):
    """The whole mapping."""

    imports: Annotated[list[FileRule], Field(min_length=1)]


class MappedEvent(NamedTuple):
    """One event, ready for a producer."""

    id: UUID
    department: Department
    source: str
    type: str
    version: int
    occurred_at: datetime
    identities: Sequence[tuple[str, str]]
    data: dict[str, Any]


def load_mapping(path: Path) -> ImportMapping:
    """Read and check a mapping file. Raises InvalidMapping with the field and the rule."""
    return load_model(path, ImportMapping, "mapping", InvalidMapping)


def rule_for(mapping: ImportMapping, path: Path) -> FileRule:
    """The first rule whose pattern fits the file's name. Raises InvalidFile."""
    for rule in mapping.imports:
        if fnmatch.fnmatchcase(path.name, rule.files):
            return rule
    raise InvalidFile(f"no rule of the mapping fits {path.name}: add one whose `files` does")


def rows_of(file: TextIO, rule: FileRule, name: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    """(row number, row) of a CSV file; the first row after the header has number 2. Raises InvalidFile."""
    reader = csv.DictReader(file, delimiter=rule.delimiter, restkey="", restval="")
    missing = sorted(_columns(rule) - set(reader.fieldnames or ()))
    if missing:
        raise InvalidFile(f"{name} has no column {missing[0]!r}; it has {', '.join(reader.fieldnames or ['none'])}")
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise InvalidFile(f"{name} line {reader.line_num} is not valid CSV: {error}") from error


def events_of(row: Mapping[str, str], rule: FileRule) -> list[MappedEvent]:
    """The events of a row. Raises RowRejected."""
    return [_event(row, event) for event in rule.events]


def _columns(rule: FileRule) -> set[str]:
    columns: set[str] = set()
    for event in rule.events:
        columns |= {*event.id, event.occurred_at.column, *(identity.column for identity in event.identities)}
        for value in (*event.data.values(), *event.traits.values()):
            column = value if isinstance(value, str) else value.column
            columns |= {column} if column is not None else set()
    return columns


def _event(row: Mapping[str, str], rule: EventRule) -> MappedEvent:
    own_id = [row[column].strip() for column in rule.id]
    if not any(own_id):
        raise RowRejected(rule.id[0], "is empty, and the event's id is made from it")
    identities = [(one.type, row[one.column].strip()) for one in rule.identities if row[one.column].strip()]
    if not identities:
        raise RowRejected(rule.identities[0].column, "is empty, so the row names nobody")
    data = _values(row, rule.data)
    traits = _values(row, rule.traits)
    if traits:
        data["traits"] = traits
    return MappedEvent(
        id=event_id(rule.source, "\n".join((rule.type, *own_id))),
        department=rule.department,
        source=rule.source,
        type=rule.type,
        version=rule.version,
        occurred_at=_time(row, rule.occurred_at),
        identities=identities,
        data=data,
    )


def _time(row: Mapping[str, str], when: When) -> datetime:
    text = row[when.column].strip()
    try:
        moment = datetime.strptime(text, when.format)  # noqa: DTZ007 (the zone is put on below)
    except ValueError as error:
        raise RowRejected(when.column, f"{text!r} is not a time of the form {when.format}") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(when.timezone))).astimezone(UTC)


def _values(row: Mapping[str, str], fields: Mapping[str, str | Value]) -> dict[str, Any]:
    values = {name: _value(row, Value(column=rule) if isinstance(rule, str) else rule) for name, rule in fields.items()}
    return {name: value for name, value in values.items() if value is not None}


def _value(row: Mapping[str, str], rule: Value) -> Any:
    if rule.column is None:
        return rule.const
    text = row[rule.column].strip()
    if not text:
        return rule.when_empty
    if rule.type == "integer":
        return _integer(text, rule.column)
    if rule.type == "boolean":
        if text.lower() not in ("true", "false"):
            raise RowRejected(rule.column, f"{text!r} is neither true nor false")
        return text.lower() == "true"
    return text


def _integer(text: str, column: str) -> int:
    """Whole numbers, also written as 12.0 or 1e3."""
    try:
        number = Decimal(text)
        if number != number.to_integral_value():
            raise RowRejected(column, f"{text!r} is not a whole number")
    except InvalidOperation as error:
        raise RowRejected(column, f"{text!r} is not a number") from error
    return int(number)


def header_of_rejects() -> Sequence[str]:
    """The columns of a rejects file."""
    return ("file", "row", "column", "reason")
