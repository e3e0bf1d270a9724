"""Debezium's change events: what happened to a row, in Debezium's envelope."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from schemas.errors import TandemError

Row = Mapping[str, Any]

#: Stands for a large column that did not change.
UNAVAILABLE = "__debezium_unavailable_value"

#: Fields of `source` that say where in the database's log a change stands, by kind of database.
_POSITION = (
    "lsn",  # PostgreSQL
    *("file", "pos", "row"),  # MySQL, MariaDB
    *("change_lsn", "commit_lsn", "event_serial_no"),  # SQL Server, Db2
    *("scn", "rs_id", "ssn"),  # Oracle
)


class UnfitChange(TandemError):
    """A record is no change of a row, or the mapping cannot make events of it.

    Correct the connector or the mapping; the record is among the agents' dead letters.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Change(NamedTuple):
    """One change of a row."""

    before: Row | None
    after: Row | None  #: None where the row is gone
    is_new: bool  #: inserted, or read in a snapshot
    at: int  #: microseconds since 1970 UTC
    position: str | None  #: in the database's log; None where that says nothing


def change_of(value: bytes) -> Change | None:
    """The change in a record's value; None where it is about no row. Raises UnfitChange."""
    try:
        content = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnfitChange("not_json", f"the value is not JSON: {error}") from error
    if isinstance(content, dict) and "payload" in content and "op" not in content:
        content = content["payload"]
    if not isinstance(content, dict):
        raise UnfitChange("not_a_change", "the value is not an object: send Debezium's change events as JSON")
    op, source = content.get("op"), content.get("source") or {}
    if op in ("t", "m"):
        return None  # a table that was emptied, a message in the log
    if op not in ("c", "u", "d", "r") or not isinstance(source, dict):
        raise UnfitChange("not_a_change", f"op is {op!r}: Debezium writes c, u, d or r (unwrapped events lack it)")
    return Change(
        before=_row(content, "before"),
        after=None if op == "d" else _row(content, "after", required=True),
        is_new=op in ("c", "r"),
        at=_at(content, source),
        position=None if op == "r" else _position(source),
    )


def _row(content: Mapping[str, Any], side: str, *, required: bool = False) -> Row | None:
    row = content.get(side)
    if row is None and not required:
        return None
    if not isinstance(row, dict):
        raise UnfitChange("not_a_change", f"{side} is not a row")
    return row


def _at(content: Mapping[str, Any], source: Mapping[str, Any]) -> int:
    """When the database changed the row; where it does not say, when Debezium saw it."""
    for milliseconds in (source.get("ts_ms"), content.get("ts_ms")):
        if type(milliseconds) is int and milliseconds > 0:
            return milliseconds * 1_000
    raise UnfitChange("not_a_change", "neither source.ts_ms nor ts_ms says when the row changed")


def _position(source: Mapping[str, Any]) -> str | None:
    positions = [f"{name}={source[name]}" for name in _POSITION if source.get(name) is not None]
    return " ".join(positions) or None
