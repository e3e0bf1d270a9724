"""Where Olist's real funnel is, and the mark of tests that need it."""

import os
from pathlib import Path

import pytest

from cli.producers import identifiers_of
from schemas.decode import decode
from schemas.event import Event
from streams.csv_mapping import MappedEvent, events_of, load_mapping, rows_of, rule_for
from tandem.envelope import encode_event

_ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("TANDEM_OLIST", _ROOT.parent / "shared" / "data" / "olist"))
MAPPING = _ROOT / "examples" / "olist" / "mapping.yaml"

needs_olist = pytest.mark.skipif(
    not list(DATA.glob("*.csv")),
    reason="the Olist data is not here (CC BY-NC-SA keeps it out of the repository); TANDEM_OLIST names its folder",
)


def olist_events() -> list[Event]:
    """Each event that an import of the whole funnel sends."""
    mapping, events = load_mapping(MAPPING), []
    for path in sorted(DATA.glob("*.csv")):
        rule = rule_for(mapping, path)
        with path.open(newline="", encoding="utf-8-sig") as file:
            for _, row in rows_of(file, rule, path.name):
                events += [_event(mapped) for mapped in events_of(row, rule)]
    return events


def _event(mapped: MappedEvent) -> Event:
    encoded = encode_event(
        mapped.type,
        department=mapped.department,
        source=mapped.source,
        id_=mapped.id,
        occurred_at=mapped.occurred_at,
        identities=identifiers_of(mapped.identities),
        data=mapped.data,
        version=mapped.version,
    )
    return decode(encoded.value, mapped.department)
