"""Identity over HTTP: persons, explanations, previews, rulings, history. Real broker, real database."""

import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import httpx
import pytest

from api.app import create_app
from projections.identifiers import identifier_key
from streams.kafka import KafkaSettings
from tests.support import body, produce, project

ANA, BOB = ["user_id:ana", "email:ana@x.org"], ["user_id:bob"]
_EVENTS = [
    ("marketing", 0, body(1, who={"user_id": "ana", "email": "ana@x.org"})),
    ("sales", 1, body(2, "opportunity_won", version=2, who={"user_id": "ana"}, data={"amount": 9, "currency": "EUR"})),
    ("marketing", 1, body(3, who={"user_id": "bob"})),
    ("marketing", 2, body(4, who={"user_id": "ana", "anonymous_id": "ipad"})),
    ("marketing", 2, body(5, who={"user_id": "bob", "anonymous_id": "ipad"}, occurred_at="2026-01-02T00:00:00Z")),
    ("marketing", 2, body(6, who={"email": "zoe@x.org"})),
]


class Running:
    """The API, and the projector to run in between."""

    def __init__(self, client: httpx.AsyncClient, kafka: KafkaSettings, database_url: str) -> None:
        self.client, self.kafka, self.database_url = client, kafka, database_url
        self.records = len(_EVENTS)

    async def get(self, path: str, **parameters: str) -> Any:
        """A JSON answer."""
        answer = await self.client.get(f"/v1/identity/{path}", params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def publish(self, records: Sequence[tuple[str, int, bytes | None]]) -> None:
        """Produce events, and let the projector read them."""
        await produce(self.kafka, records)
        self.records += len(records)
        await project(self.kafka, self.database_url, self.records)

    async def rule(self, ruling: str, *identifiers: str, **more: Any) -> httpx.Response:
        """Publish a ruling, and let the projector read it."""
        wanted = {"ruling": ruling, "identifiers": list(identifiers), **more}
        answer = await self.client.post("/v1/identity/rulings", json=wanted)
        if answer.status_code == 201:
            self.records += 1
            await project(self.kafka, self.database_url, self.records)
        return answer


@pytest.fixture
async def running(kafka_settings: KafkaSettings, database_url: str) -> AsyncIterator[Running]:
    """Ana and Bob share a tablet."""
    await produce(kafka_settings, _EVENTS)
    await project(kafka_settings, database_url, len(_EVENTS))
    app = create_app(database_url=database_url, kafka=kafka_settings)  # its clock is the one that stamps commits
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield Running(client, kafka_settings, database_url)


def names(person: dict[str, Any]) -> set[str]:
    return {f"{one['type']}:{one['value']}" for one in person["identifiers"]}


async def test_a_person_has_identifiers_links_and_conflicts(running: Running) -> None:
    ana = await running.get("persons/user_id:ana")
    assert names(ana) == set(ANA)
    assert {(link["identifiers"][1], link["reason"]) for link in ana["links"]} == {
        ("email:ana@x.org", None),
        ("anonymous_id:ipad", "contested"),
    }
    assert len((await running.get("conflicts"))["items"]) == 2
    assert (await running.get("quarantine"))["items"] == []


async def test_explanations_name_events_and_places(running: Running) -> None:
    found = await running.get("explain", a="user_id:ana", b="email:ana@x.org")
    assert found["one_person"]
    [step] = found["path"]
    assert step["event"]["id"] == str(uuid.UUID(int=2))
    assert (step["place"]["partition"], step["place"]["offset"]) == (0, 0)
    apart = await running.get("explain", a="user_id:ana", b="user_id:bob")
    assert not apart["one_person"]
    assert "several people use the device" in apart["because"]
    assert [step["reason"] for step in apart["path"]] == ["contested", "contested"]
    strangers = await running.get("explain", a="user_id:ana", b="email:zoe@x.org")
    assert strangers["because"] == "no event links them, neither directly nor through others"
    nobody = await running.get("explain", a="user_id:ana", b="user_id:ghost")
    assert nobody["because"] == "no journey found for user_id:ghost"


async def test_a_ruling_is_previewed_published_and_undone(running: Running) -> None:
    wanted = {"ruling": "join", "identifiers": ["user_id:ana", "user_id:bob"]}
    preview = (await running.client.post("/v1/identity/preview", json=wanted)).json()
    # the tablet is no longer contested then: its journey goes, too
    assert sorted(side["events"] for side in preview["before"]) == [0, 2, 3]
    assert [(side["events"], side["value"]) for side in preview["after"]] == [(5, {"EUR": 9})]
    assert (preview["events_moved"], preview["needs_confirmation"]) == (2, False)
    before = await running.get("persons/user_id:bob")
    answer = await running.rule("join", "user_id:ana", "user_id:bob", reason="one person", by="ops")
    assert answer.status_code == 201
    assert answer.json()["event"]["topic"].endswith("joint.events")
    assert names(await running.get("persons/user_id:bob")) == {*ANA, *BOB, "anonymous_id:ipad"}
    found = await running.get("explain", a="user_id:ana", b="user_id:bob")
    assert found["one_person"]
    ruling = found["ruling"]
    assert (ruling["ruling"], ruling["reason"], ruling["by"]) == ("join", "one person", "ops")
    assert ruling["place"]["topic"].endswith("joint.events")
    await running.rule("split", "user_id:ana", "user_id:bob")
    after = await running.get("persons/user_id:bob")
    assert after["split_by_ruling"] == [["user_id:ana", "user_id:bob"]]
    assert {**after, "split_by_ruling": []} == before
    apart = await running.get("explain", a="user_id:ana", b="user_id:bob")
    assert (apart["one_person"], apart["because"]) == (False, "a ruling says that they are not one person")


async def test_much_is_moved_only_when_confirmed(running: Running) -> None:
    many = [("marketing", 0, body(n, who={"user_id": f"u{n % 2}"})) for n in range(100, 320)]
    await running.publish(many)
    refused = await running.rule("join", "user_id:u0", "user_id:u1")
    assert refused.status_code == 409
    assert refused.json()["events_moved"] == 110
    assert (await running.rule("join", "user_id:u0", "user_id:u1", confirm=True)).status_code == 201


async def test_the_past_is_told_on_both_axes(running: Running) -> None:
    connection = await asyncpg.connect(running.database_url)
    known = await connection.fetchval("SELECT now()")
    await connection.close()
    login = body(50, "identified", who={"user_id": "ana", "anonymous_id": "phone1"}, data={})
    await running.publish([("marketing", 0, login)])
    assert "anonymous_id:phone1" in names(await running.get("persons/user_id:ana"))
    earlier = await running.get("persons/user_id:ana", at="2026-01-01T00:00:40Z")
    assert "anonymous_id:phone1" not in names(earlier)
    assert "anonymous_id:ipad" in names(earlier)  # Bob was not there yet: the tablet was hers
    before = await running.get("persons/user_id:ana", known_at=known.isoformat())
    assert names(before) == set(ANA)
    gone = await running.client.get("/v1/identity/persons/user_id:ana", params={"at": "2025-01-01T00:00:00Z"})
    assert gone.status_code == 404


async def test_the_past_knows_rulings_that_were_replaced_since(running: Running) -> None:
    """Zoe has nothing in common with Ana but two rulings."""
    await running.rule("join", "user_id:ana", "email:zoe@x.org")
    connection = await asyncpg.connect(running.database_url)
    joined = await connection.fetchval("SELECT now()")
    await connection.close()
    await running.rule("split", "user_id:ana", "email:zoe@x.org")
    assert "email:zoe@x.org" not in names(await running.get("persons/user_id:ana"))
    before = await running.get("persons/user_id:ana", known_at=joined.isoformat())
    assert "email:zoe@x.org" in names(before)
    assert before["joined_by_ruling"] == [["email:zoe@x.org", "user_id:ana"]]


async def test_a_preview_says_what_has_no_effect(running: Running) -> None:
    pair = [{"type": "user_id", "value": "ana"}, {"type": "user_id", "value": "bob"}]
    later = body(80, "identity_joined", identities=pair, data={}, occurred_at="2090-01-01T00:00:00Z")
    await running.publish([("joint", 0, later)])
    wanted = {"ruling": "split", "identifiers": ["user_id:ana", "user_id:bob"]}
    preview = (await running.client.post("/v1/identity/preview", json=wanted)).json()
    [warning] = preview["warnings"]
    assert warning.startswith("a later join of ")
    assert "at 2090-01-01" in warning


async def test_pages_of_conflicts_have_as_many_as_were_asked_for(running: Running) -> None:
    everything = (await running.get("conflicts"))["items"]
    first = await running.get("conflicts", limit="1")
    assert first["items"] == everything[:1]
    second = await running.get("conflicts", limit="1", cursor=first["next_cursor"])
    assert (second["items"], second["next_cursor"]) == (everything[1:], None)
    for wrong in ("x", "00", f"{'00' * 16}.x"):
        assert (await running.client.get("/v1/identity/conflicts", params={"cursor": wrong})).status_code == 422


@pytest.mark.parametrize("time", ["9999-12-31T23:59:59-23:00", "0001-01-01T00:00:00+10:00", "2026-01-01T00:00:00"])
@pytest.mark.parametrize("name", ["at", "known_at"])
async def test_times_that_are_none_are_refused(running: Running, name: str, time: str) -> None:
    answer = await running.client.get("/v1/identity/persons/user_id:ana", params={name: time})
    assert answer.status_code == 422
    assert name in answer.json()["detail"]


async def test_former_ids_are_valid_for_ever(running: Running) -> None:
    await running.rule("join", "user_id:ana", "user_id:bob")
    bob = uuid.UUID(bytes=identifier_key("user_id", "bob"))
    found = await running.get(f"persons/journey:{bob}")
    assert {*ANA, *BOB} <= names(found)
    assert str(bob) in found["also_found_by"]


async def test_a_shared_device_is_quarantined_with_its_victims_and_released(running: Running) -> None:
    kiosk = [
        ("marketing", n % 3, body(1_000 + n, who={"user_id": f"k{n}", "anonymous_id": "kiosk"})) for n in range(205)
    ]
    await running.publish(kiosk)
    [entry] = (await running.get("quarantine"))["items"]
    assert (entry["identifier"], entry["victims"]) == ("anonymous_id:kiosk", 205)
    assert "tandem_quarantined_identifiers 1.0" in (await running.client.get("/metrics")).text
    seen, cursor = list[str](), None
    while cursor is not None or not seen:
        more: dict[str, str] = {"cursor": cursor} if cursor else {}
        page = await running.get("victims", identifier="anonymous_id:kiosk", limit="60", **more)
        seen += [item["journey_id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert len(seen) == len(set(seen)) == 205
    assert "too many others" in (await running.get("explain", a="user_id:k1", b="anonymous_id:kiosk"))["because"]
    # released: from then on it is another device, and may have one user
    assert (await running.rule("release", "anonymous_id:kiosk")).status_code == 201
    [entry] = (await running.get("quarantine"))["items"]
    assert entry["released_at"] is not None
    assert "tandem_quarantined_identifiers 0.0" in (await running.client.get("/metrics")).text
    login = body(2_000, who={"user_id": "k7", "anonymous_id": "kiosk"}, occurred_at="2027-01-01T00:00:00Z")
    await running.publish([("marketing", 0, login)])
    assert "anonymous_id:kiosk" in names(await running.get("persons/user_id:k7"))
    assert (await running.get("explain", a="user_id:k7", b="anonymous_id:kiosk"))["one_person"]


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"ruling": "join", "identifiers": ["user_id:ana"]}, "two or more"),
        ({"ruling": "join", "identifiers": ["user_id:ana", "user_id:null"]}, "names nobody"),
        ({"ruling": "join", "identifiers": ["user_id:ana", "bob"]}, "write type:value"),
        ({"ruling": "wed", "identifiers": ["user_id:ana", "user_id:bob"]}, "join"),
    ],
)
async def test_wrong_rulings_are_refused(running: Running, wanted: dict[str, Any], says: str) -> None:
    answer = await running.client.post("/v1/identity/rulings", json=wanted)
    assert answer.status_code == 422
    assert says in answer.json()["detail"]
