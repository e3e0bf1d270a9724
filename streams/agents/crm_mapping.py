"""CRM mapping: a row's change into sales' facts. Pure: the same change always gives the same events."""

from decimal import Decimal, InvalidOperation, Overflow
from pathlib import Path
from typing import Annotated, Any

import msgspec
from pydantic import BaseModel, ConfigDict, Field, model_validator

from projections.playbook.strict_yaml import load_model
from projections.text import time_text
from schemas.envelope import TYPE_PATTERN, IdentityType
from schemas.errors import TandemError
from schemas.ids import event_id
from schemas.money import to_minor
from schemas.rejection import Rejection
from schemas.times import EARLIEST, LATEST, parse_time
from streams.agents.changes import UNAVAILABLE, Change, Row, UnfitChange

DEFAULT_MAPPING = Path(__file__).with_name("crm.yaml")


class InvalidCrmMapping(TandemError):
    """The CRM mapping cannot be read or breaks a rule. Correct the field that the message names."""


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", populate_by_name=True)


class When(_Strict):
    """What must have happened to the row."""

    created: bool = False  #: the row is new
    column: str | None = None  #: or this column holds another value than before
    value: list[str] = []  #: one of these, in small letters; empty for any
    other: Annotated[list[str], Field(alias="not")] = []  #: and none of these

    @model_validator(mode="after")
    def _says_one(self) -> "When":
        if self.created == (self.column is not None):
            raise ValueError("say either created: true or a column")
        return self


class Column(_Strict):
    """A column, and what an empty one means; by default the field is left out."""

    column: str
    when_empty: str | int | None = None


class Amount(_Strict):
    """A decimal in major units, of the currency that another column names."""

    column: str
    currency: str


class EventRule(_Strict):
    """When a change makes an event, and of what."""

    type: Annotated[str, Field(pattern=TYPE_PATTERN)]
    version: int = 1
    when: When
    at: str | None = None  #: column with the event's time; by default, the time of the change
    data: dict[str, str | Column | Amount] = {}


class TableRule(_Strict):
    """The events that one table's changes make."""

    key: Annotated[list[str], Field(min_length=1)]  #: columns of the primary key
    identities: Annotated[dict[IdentityType, str], Field(min_length=1)]
    events: Annotated[list[EventRule], Field(min_length=1)]


class CrmMapping(_Strict):
    """The whole mapping."""

    source: Annotated[str, Field(min_length=1, max_length=256)]
    tables: dict[str, TableRule]


def load_crm_mapping(path: Path) -> CrmMapping:
    """Read and check a mapping file. Raises InvalidCrmMapping with the field and the rule."""
    return load_model(path, CrmMapping, "CRM mapping", InvalidCrmMapping)


def events_of(change: Change, table: str, mapping: CrmMapping) -> list[dict[str, Any]]:
    """The events that a change makes; none where nothing relevant changed. Raises UnfitChange."""
    if change.after is None:
        return []  # a deleted row: facts stay, and no event says that it is gone
    if change.before is None and not change.is_new:
        raise UnfitChange(
            "before_missing",
            "the update does not say what the row was before: in PostgreSQL, ALTER TABLE ... REPLICA "
            "IDENTITY FULL; in MySQL, binlog_row_image=FULL",
        )
    rule = mapping.tables[table]
    return [_event(change, table, rule, event, mapping.source) for event in rule.events if _applies(event.when, change)]


def _applies(when: When, change: Change) -> bool:
    if when.column is None:
        return change.is_new
    assert change.after is not None, "only rows that are there make events"
    now = _required(change.after, when.column).lower()
    if not now or (change.before is not None and _required(change.before, when.column).lower() == now):
        return False
    return now not in when.other and (not when.value or now in when.value)


def _event(change: Change, table: str, rule: TableRule, event: EventRule, source: str) -> dict[str, Any]:
    assert change.after is not None, "only rows that are there make events"
    row = change.after
    key = [_required(row, column) for column in rule.key]
    content = {
        "type": event.type,
        "version": event.version,
        "source": source,
        "occurred_at": _time_text(_time(row, event.at, change.at)),
        "identities": [{"type": t, "value": v} for t, c in rule.identities.items() if (v := _optional(row, c))],
        "data": {name: value for name, part in event.data.items() if (value := _value(row, part)) is not None},
    }
    # A snapshot that is taken again has other positions and the same rows.
    place = change.position or msgspec.json.encode(content, order="deterministic").decode()
    return {"id": str(event_id(source, "\n".join((table, *key, event.type, place)))), **content}


def _value(row: Row, part: str | Column | Amount) -> Any:
    if isinstance(part, str):
        return _optional(row, part) or None
    text = _optional(row, part.column)
    if isinstance(part, Column):
        return text or part.when_empty
    if not text:
        raise UnfitChange("amount_missing", f"column {part.column} is empty, and the event needs an amount")
    try:
        amount = Decimal(text)
        if not amount.is_finite():
            raise UnfitChange(
                "not_a_number", f"column {part.column} holds {text[:64]!r}, which is not an amount of money"
            )
        return to_minor(amount, _required(row, part.currency), part.column)
    except (InvalidOperation, Overflow) as error:
        raise UnfitChange(
            "not_a_number",
            f"column {part.column} holds {text[:64]!r}, which is not a number: in Debezium, set "
            "decimal.handling.mode=string",
        ) from error
    except Rejection as error:
        raise UnfitChange(error.reason, error.message) from error


def _time(row: Row, column: str | None, default: int) -> int:
    """A time of the row, in RFC 3339 or as Debezium's numbers since 1970 UTC, in microseconds."""
    text = "" if column is None else _optional(row, column)
    if not text:
        return default
    if text.isdecimal():
        number = int(text)
        # Milli-, micro- or nanoseconds, by the column's type at the source: no time of our days is two of them.
        return number * 1_000 if number < 10**14 else number if number < 10**17 else number // 1_000
    try:
        return parse_time(text, str(column))
    except Rejection as error:
        raise UnfitChange(error.reason, f"column {column}: {error.message}") from error


def _time_text(micros: int) -> str:
    if not EARLIEST <= micros < LATEST:
        raise UnfitChange("time_out_of_range", "the change's time lies outside 1970 to 2099: check the source's clock")
    return time_text(micros)


def _required(row: Row, column: str) -> str:
    if column not in row or row[column] == UNAVAILABLE:
        raise UnfitChange("column_missing", f"the row has no column {column}: name it in the CRM mapping as it is")
    return _text(row[column], column)


def _optional(row: Row, column: str) -> str:
    value = row.get(column)
    return "" if value == UNAVAILABLE else _text(value, column)


def _text(value: object, column: str) -> str:
    """A column's value as text; empty for null. Raises UnfitChange for what is several values."""
    if value is None:
        return ""
    if isinstance(value, (dict, list)):
        raise UnfitChange(
            "not_one_value",
            f"column {column} holds {'an object' if isinstance(value, dict) else 'a list'}, where one value is needed: "
            "name another column in the CRM mapping; for decimals, set decimal.handling.mode=string in Debezium",
        )
    return str(value).lower() if isinstance(value, bool) else str(value).strip()
