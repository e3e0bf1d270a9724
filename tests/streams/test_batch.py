"""A batch's originals, and the verdict on two bodies under one id."""

from typing import Any

import pytest

from schemas.canonical import body_hash
from store.archive import LogRecord
from streams.engine import batch as batch_module
from streams.engine.batch import Originals
from streams.engine.conflicts import Verdict, judge, precedes
from streams.engine.desk import Desk
from streams.engine.intake import Intake, take_in
from tests.support import RULES, body

_DEPARTMENTS = {1: "marketing"}


def test_an_original_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    records: list[LogRecord] = [LogRecord(1, n, 0, None, body(n)) for n in range(5)]
    read = Desk(RULES).read(1, _DEPARTMENTS, records)
    decoded: list[int] = []

    def noted(intake: Intake, record: LogRecord, *more: Any) -> None:
        decoded.append(record.offset)
        take_in(intake, record, *more)

    monkeypatch.setattr(batch_module, "take_in", noted)
    originals = Originals(records, _DEPARTMENTS, RULES)
    for event in [*read.events, *read.events]:
        assert originals.record(event).offset == event.offset
        assert originals.candidate(event).key == event.key
    assert sorted(decoded) == list(range(5))


def test_the_verdict_does_not_depend_on_the_order() -> None:
    one, other = body(1, who={"user_id": "u1"}), body(1, who={"user_id": "u2"})
    winner, loser = (one, other) if precedes(one, other) else (other, one)
    spaced = winner.replace(b'":', b'" : ')
    verdicts = [
        judge(body, body_hash(body), known, 0 if known is None else body_hash(known))
        for body, known in ((winner, loser), (loser, winner), (spaced, winner), (winner, None))
    ]
    assert verdicts == [Verdict.WON, Verdict.LOST, Verdict.DUPLICATE, Verdict.ERASED]
