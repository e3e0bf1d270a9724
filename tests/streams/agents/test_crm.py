"""The CRM adapter: Debezium's changes into sales' facts, each once, and nothing lost that does not fit."""

from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import structlog

from deploy.embedded.process import free_port
from schemas.decode import decode
from streams.agents.changes import UnfitChange, change_of
from streams.agents.crm import register
from streams.agents.crm_mapping import DEFAULT_MAPPING, InvalidCrmMapping, events_of, load_crm_mapping
from streams.agents.settings import AgentSettings
from streams.kafka import KafkaSettings, ensure_topics
from tests.streams.agents.support import agents, all_of, committed, produce_to, values_of
from tests.support import until

MAPPING = load_crm_mapping(DEFAULT_MAPPING)
AT = 1_764_000_000_000  #: milliseconds since 1970: 2025-11-24T16:00:00Z
LEAD = {"id": 7, "email": "ada@example.com", "phone": None, "status": "new", "owner": "eva", "reason": None}
DEAL = {"id": "o1", "contact_id": "c1", "stage": "proposal", "owner": "eva", "amount": "1234.50", "currency": "EUR"}


def change(
    op: str, before: dict[str, Any] | None, after: dict[str, Any] | None, *, wrapped: bool = False, **source: Any
) -> bytes:
    """A change event as Debezium's JSON converter writes it."""
    where = {"connector": "postgresql", "db": "crm", "table": "leads", "ts_ms": AT, "lsn": 100, **source}
    content: dict[str, Any] = {"before": before, "after": after, "op": op, "ts_ms": AT + 5, "source": where}
    return orjson.dumps({"schema": {"type": "struct"}, "payload": content} if wrapped else content)


def mapped(value: bytes, table: str = "leads") -> list[dict[str, Any]]:
    """The events of a change; each must be an event that sales may write."""
    found = change_of(value)
    events = [] if found is None else events_of(found, table, MAPPING)
    for event in events:
        decode(orjson.dumps(event), "sales")
    return events


def test_a_change_of_status_is_a_fact() -> None:
    [event] = mapped(change("u", LEAD, LEAD | {"status": "Accepted"}))
    assert {name: event[name] for name in ("type", "source", "occurred_at", "identities", "data")} == {
        "type": "lead_accepted",
        "source": "crm",
        "occurred_at": "2025-11-24T16:00:00.000000Z",
        "identities": [{"type": "crm_lead", "value": "7"}, {"type": "email", "value": "ada@example.com"}],
        "data": {"owner": "eva"},
    }


@pytest.mark.parametrize(
    ("status", "type_", "reason"),
    [
        ("rejected", "lead_rejected", "unknown"),
        ("unqualified", "lead_rejected", "unknown"),
        ("recycled", "lead_recycled", "unknown"),
        ("converted", "lead_converted", None),
    ],
)
def test_each_status_has_its_fact(status: str, type_: str, reason: str | None) -> None:
    [event] = mapped(change("u", LEAD, LEAD | {"status": status}))
    assert (event["type"], event["data"].get("reason")) == (type_, reason)


def test_wrapped_or_not_it_is_the_same_fact() -> None:
    pair = (LEAD, LEAD | {"status": "accepted"})
    assert mapped(change("u", *pair)) == mapped(change("u", *pair, wrapped=True))


@pytest.mark.parametrize(
    "value",
    [
        change("u", LEAD, LEAD | {"owner": "max", "phone": "+49301234567"}),
        change("d", LEAD, None),
        change("c", None, LEAD),
        orjson.dumps({"op": "t", "source": {"ts_ms": AT}, "ts_ms": AT}),
    ],
)
def test_what_says_nothing_relevant_is_no_fact(value: bytes) -> None:
    assert mapped(value) == []


def test_an_opportunity_from_its_row_to_its_end() -> None:
    opened = mapped(change("c", None, DEAL | {"created_at": AT * 1000 - 60_000_000}), "opportunities")
    assert [event["type"] for event in opened] == ["opportunity_opened", "opportunity_stage_changed"]
    assert opened[0]["occurred_at"] == "2025-11-24T15:59:00.000000Z", "the row says when"
    assert opened[1]["data"] == {"owner": "eva", "opportunity": "o1", "stage": "proposal"}
    [won] = mapped(
        change("u", DEAL, DEAL | {"stage": "Closed Won", "closed_at": "2025-11-20T10:00:00Z"}), "opportunities"
    )
    assert won["data"] == {"owner": "eva", "opportunity": "o1", "amount": 123_450, "currency": "EUR"}
    assert (won["version"], won["occurred_at"]) == (2, "2025-11-20T10:00:00.000000Z")
    [lost] = mapped(change("u", DEAL, DEAL | {"stage": "lost", "reason": "price"}), "opportunities")
    assert lost["data"]["reason"] == "price"


@pytest.mark.parametrize(("currency", "amount", "minor"), [("JPY", 1200, 1200), ("KWD", 1.5, 1500), ("EUR", 0.1, 10)])
def test_minor_units_follow_the_currency(currency: str, amount: float, minor: int) -> None:
    row = DEAL | {"stage": "won", "currency": currency, "amount": amount}
    assert mapped(change("u", DEAL, row), "opportunities")[0]["data"]["amount"] == minor


def test_redelivery_has_the_same_ids_and_another_change_has_others() -> None:
    pair = (LEAD, LEAD | {"status": "accepted"})
    assert mapped(change("u", *pair)) == mapped(change("u", *pair))
    assert mapped(change("u", *pair))[0]["id"] != mapped(change("u", *pair, lsn=200))[0]["id"]


def test_a_snapshot_taken_again_tells_the_same() -> None:
    row = DEAL | {"stage": "won", "created_at": AT, "closed_at": AT}
    first = mapped(change("r", None, row, lsn=1, snapshot="true"), "opportunities")
    again = mapped(change("r", None, row, lsn=900, snapshot="last"), "opportunities")
    assert [event["type"] for event in first] == ["opportunity_opened", "opportunity_won"]
    assert first == again


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"{broken", "not_json"),
        (b"[1]", "not_a_change"),
        (orjson.dumps(LEAD), "not_a_change"),
        (change("x", None, LEAD), "not_a_change"),
        (change("c", None, None), "not_a_change"),
        (change("u", None, LEAD | {"status": "accepted"}), "before_missing"),
        (change("c", None, {"id": 1}), "column_missing"),
        (change("c", None, LEAD | {"id": {"a": 1}, "status": "accepted"}), "not_one_value"),
        (change("c", None, LEAD | {"id": [1], "status": "accepted"}), "not_one_value"),
        (change("c", None, LEAD | {"status": "__debezium_unavailable_value"}), "column_missing"),
        (change("c", None, LEAD | {"status": "accepted"}, ts_ms=10**17), "time_out_of_range"),
    ],
)
def test_what_cannot_be_mapped_says_why(value: bytes, reason: str) -> None:
    with pytest.raises(UnfitChange) as unfit:
        mapped(value)
    assert unfit.value.reason == reason


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"amount": "EjQ="}, "not_a_number"),
        ({"amount": None}, "amount_missing"),
        ({"amount": "1.005"}, "invalid_value"),
        ({"amount": "-Infinity"}, "not_a_number"),
        ({"amount": "NaN"}, "not_a_number"),
        ({"amount": "sNaN"}, "not_a_number"),
        ({"amount": "9e999999"}, "not_a_number"),
        ({"amount": {"scale": 2, "value": "EjQ="}}, "not_one_value"),
        ({"contact_id": ["c1"]}, "not_one_value"),
        ({"closed_at": "yesterday"}, "invalid_value"),
    ],
)
def test_an_amount_or_a_time_that_is_none_says_why(row: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnfitChange) as unfit:
        mapped(change("u", DEAL, DEAL | {"stage": "won", **row}), "opportunities")
    assert unfit.value.reason == reason


async def test_changes_become_facts_and_the_rest_dead_letters(kafka_settings: KafkaSettings) -> None:
    await ensure_topics(kafka_settings)
    accepted = change("u", LEAD, LEAD | {"status": "accepted"}, wrapped=True)
    nobody = change("c", None, {"id": None, "status": "accepted"})
    sent = [(b"7", accepted), (b"7", None), (b"8", b"{broken"), (b"7", accepted), (b"9", nobody)]
    won = change("u", DEAL, DEAL | {"stage": "won"}, table="opportunities")

    async def all_read() -> bool:
        leads = await committed(kafka_settings, "crm.leads", "crm-leads")
        return leads + await committed(kafka_settings, "crm.opportunities", "crm-opportunities") == 6

    async def has_topics() -> bool:
        try:
            return await all_of(kafka_settings, "crm.leads") == []
        except Exception:  # not there yet
            return False

    port = free_port()
    with structlog.testing.capture_logs() as logs:
        async with agents(AgentSettings(kafka_settings), register, port=port):
            await until(has_topics)
            await produce_to(kafka_settings, "crm.leads", sent)
            await produce_to(kafka_settings, "crm.opportunities", [(b"o1", won)])
            await until(all_read)
            async with httpx.AsyncClient(trust_env=False) as client:
                shown = (await client.get(f"http://127.0.0.1:{port}/agents")).json()
    facts = await values_of(kafka_settings, "sales.events")
    assert sorted(fact["type"] for fact in facts) == ["lead_accepted", "lead_accepted", "opportunity_won"]
    assert len({fact["id"] for fact in facts}) == 2, "told twice, known once"
    letters = await all_of(kafka_settings, "dead-letters")
    kept = sorted((record.value, dict(record.headers)["tandem-reason"]) for record in letters)
    assert kept == sorted([(b"{broken", b"not_json"), (nobody, b"missing_identity")])
    assert {found["agent"]: found["dead_letters"] for found in shown} == {"crm-leads": 2, "crm-opportunities": 0}
    told = [line for line in logs if line["event"] == "record is a dead letter"]
    assert sorted(line["reason"] for line in told) == ["missing_identity", "not_json"]
    places = {f"{line['topic']}/{line['partition']}/{line['offset']}".encode() for line in told}
    assert places == {dict(record.headers)["tandem-place"] for record in letters}
    assert all(dict(r.headers)["tandem-place"].startswith(kafka_settings.topic_prefix.encode()) for r in letters)


def test_a_mapping_that_is_wrong_names_the_field(tmp_path: Path) -> None:
    file = tmp_path / "crm.yaml"
    file.write_text(DEFAULT_MAPPING.read_text("utf-8").replace("{created: true}", "{created: 3}"))
    with pytest.raises(InvalidCrmMapping, match=r"opportunities.events.0.when.created"):
        load_crm_mapping(file)
    file.write_text("source: crm\ntables: [")
    with pytest.raises(InvalidCrmMapping, match="is not YAML"):
        load_crm_mapping(file)
    with pytest.raises(InvalidCrmMapping, match="cannot read"):
        load_crm_mapping(tmp_path / "none.yaml")
