"""As of a time, on both axes: the answer is the fold of exactly what had happened, or was known, by then."""

import itertools
import json
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg
import pytest

from api.app import create_app
from audit.past import Point, fold_at, recorded_of
from audit.rebuild import rebuild
from deploy.embedded.process import free_port
from projections.fold import subject_of
from projections.identifiers import identifier_key, newest_key
from projections.identity.register import RULINGS
from projections.identity.workspace import Workspace
from projections.journey.journey import Journey
from projections.memory import digest_of_workspace, fold_events
from projections.text import micros
from projections.views.journey import journey_view
from projections.views.reasons import reasons_of
from schemas.decode import decode
from schemas.event import Event
from store.rebuild import AnotherPoint, projections_beside
from store.session import open_engine_connection
from streams.engine.conflicts import precedes
from streams.kafka import KafkaSettings
from tandem import ApiError, AsyncClient, Identifier, NotFound
from tests.commands import Done, command
from tests.laws.histories import long_hostile_history
from tests.support import RULES, body, produce, project, served

_EVENTS, _COMMITS, _PAIRS = 500, 8, 200
SEED = 2026


class Projected(NamedTuple):
    """What was committed, and when."""

    database_url: str
    events: list[Event]
    #: how many of the events were committed by each time
    commits: list[tuple[datetime, int]]


@pytest.fixture
async def projected(kafka_settings: KafkaSettings, database_url: str) -> Projected:
    history = long_hostile_history(_EVENTS, SEED)
    connection = await asyncpg.connect(database_url)
    commits: list[tuple[datetime, int]] = []
    step = _EVENTS // _COMMITS
    for start in range(0, _EVENTS, step):
        part = history[start : start + step]
        await produce(kafka_settings, [(owner, n % 3, value) for n, (owner, value) in enumerate(part)])
        await project(kafka_settings, database_url, start + len(part))
        commits.append((await connection.fetchval("SELECT clock_timestamp()"), start + len(part)))
    await connection.close()
    return Projected(database_url, [decode(value, owner) for owner, value in history], commits)


def _key(chance: random.Random, events: list[Event]) -> bytes:
    """An identifier that some event names."""
    while True:
        event = chance.choice(events)
        subject = subject_of(event, RULES)
        if subject is not None and event.type not in RULINGS:
            return chance.choice(subject.persons).key


def _journey(workspace: Workspace, key: bytes) -> Journey | None:
    newest = newest_key(key, workspace.register.releases)
    return workspace.journey_of(newest) or workspace.journey_of(key)


async def test_as_of_is_the_fold_of_exactly_what_had_happened_or_was_known(projected: Projected) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    times = sorted(event.occurred_at for event in projected.events)
    connection = await open_engine_connection(projected.database_url)
    seen = 0
    for number in range(2 * _PAIRS):
        key = _key(chance, projected.events)
        if number % 2:
            at = chance.choice(times) + chance.choice([-1, 0, 1])
            point = Point(at=at)
            truth = [event for event in projected.events if event.occurred_at <= at]
        else:
            time, known = chance.choice(projected.commits)
            point = Point(known_at=time)
            truth = projected.events[:known]
        recorded, erased = await recorded_of(connection, RULES, key)
        found = _journey(fold_at(recorded, RULES, point, erased), key)
        expected = _journey(fold_events(truth, RULES), key)
        if expected is None:
            assert found is None
            continue
        seen += 1
        assert found is not None
        assert found.journey_id == expected.journey_id
        assert found.encode() == expected.encode()
    await connection.close()
    assert seen > _PAIRS, "most of the pairs must find somebody"


@pytest.mark.parametrize("winner", ["first", "second"])
async def test_an_id_that_two_bodies_claim_belongs_to_one_of_them(
    kafka_settings: KafkaSettings, database_url: str, winner: str
) -> None:
    """One names Ana and her phone, the other one a stranger: whom it names depends on what was known."""
    hers = body(1, who={"user_id": "ana", "email": "ana@x.org"})
    strangers = (body(1, who={"user_id": f"stranger{n}"}) for n in itertools.count())
    other = next(value for value in strangers if precedes(value, hers) == (winner == "second"))
    more = [body(2, who={"email": "ana@x.org"}), body(3, who={"user_id": "ana"})]
    batches = [[hers, more[0]], [other, more[1]]]
    connection, times = await open_engine_connection(database_url), []
    for number, batch in enumerate(batches, 1):
        await produce(kafka_settings, [("marketing", 0, value) for value in batch])
        await project(kafka_settings, database_url, 2 * number)
        times.append(await connection.fetchval("SELECT clock_timestamp()"))
    all_that_counts = [other if winner == "second" else hers, *more]
    for point, truth in (
        (Point(known_at=times[0]), batches[0]),
        (Point(known_at=times[1]), all_that_counts),
        (Point(at=2**60), all_that_counts),
    ):
        expected = fold_events([decode(value, "marketing") for value in truth], RULES)
        key = identifier_key("user_id", "ana")
        recorded, erased = await recorded_of(connection, RULES, key)
        found, wanted = _journey(fold_at(recorded, RULES, point, erased), key), _journey(expected, key)
        assert found is not None
        assert wanted is not None
        assert found.encode() == wanted.encode(), point
    await connection.close()


async def test_a_projection_of_the_past_is_the_fold_of_it(projected: Projected) -> None:
    chance = random.Random(SEED)
    times = sorted(event.occurred_at for event in projected.events)
    points = [(Point(at=at), [e for e in projected.events if e.occurred_at <= at]) for at in chance.sample(times, 3)]
    points += [(Point(known_at=time), projected.events[:known]) for time, known in chance.sample(projected.commits, 3)]
    time, known = projected.commits[4]
    both = Point(at=times[200], known_at=time)
    points.append((both, [event for event in projected.events[:known] if event.occurred_at <= times[200]]))
    for number, (point, truth) in enumerate(points):
        found = await rebuild(projected.database_url, RULES, f"past{number}", lambda *_: None, point=point)
        assert found.sha256 == digest_of_workspace(fold_events(truth, RULES)), point
    with pytest.raises(AnotherPoint):
        await rebuild(projected.database_url, RULES, "past0", lambda *_: None)


class World(NamedTuple):
    """The running API, and its clock."""

    address: str
    client: AsyncClient
    known: list[datetime]
    database_url: str


_MONDAY = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ANA = Identifier("user_id", "ana")


def _ana(number: int, type_: str, hours: float, **data: Any) -> bytes:
    at = (_MONDAY + timedelta(hours=hours)).isoformat()
    return body(number, type_, who={"user_id": "ana"}, occurred_at=at, data=data)


@pytest.fixture
async def world(kafka_settings: KafkaSettings, database_url: str) -> AsyncIterator[World]:
    """Ana downloads a paper on Monday, and is qualified on Tuesday; that she sent a form in between comes late."""
    parts = [
        [("marketing", 0, _ana(1, "content_downloaded", 0, content="paper"))],
        [("marketing", 0, _ana(2, "lead_qualified", 24, channel="fair"))],
        [("marketing", 0, _ana(3, "form_submitted", 12, form="contact", channel="search"))],
    ]
    connection, known, sent = await asyncpg.connect(database_url), [], 0
    for part in parts:
        sent += len(part)
        await produce(kafka_settings, list(part))
        await project(kafka_settings, database_url, sent)
        known.append(await connection.fetchval("SELECT clock_timestamp()"))
    await connection.close()
    app, port = create_app(database_url=database_url, kafka=kafka_settings), free_port()
    address = f"http://127.0.0.1:{port}"
    async with served(app, port), AsyncClient(address) as client:
        yield World(address, client, known, database_url)


async def test_what_was_true_and_what_was_known(world: World) -> None:
    tuesday_morning = (_MONDAY + timedelta(hours=20)).isoformat()
    then = await world.client.journey(ANA, at=tuesday_morning)
    assert (then.stage, then.version) == ("engaged", 2)  # the form was sent by then, though nobody knew
    known = await world.client.journey(ANA, known_at=world.known[1].isoformat())
    assert (known.stage, known.version, len(known.touchpoints or ())) == ("marketing-qualified", 2, 1)
    both = await world.client.journey(ANA, at=tuesday_morning, known_at=world.known[1].isoformat())
    assert (both.stage, both.version) == ("engaged", 1)
    with pytest.raises(NotFound, match="at that time"):
        await world.client.journey(ANA, at=(_MONDAY - timedelta(hours=1)).isoformat())


async def test_lists_and_the_funnel_of_the_past(world: World) -> None:
    morning = micros(_MONDAY + timedelta(hours=20))
    for name, point in (("true", Point(at=morning)), ("known", Point(known_at=world.known[0]))):
        await rebuild(world.database_url, RULES, f"as_{name}", lambda *_: None, point=point)
    expected: tuple[tuple[str | None, str, int, int], ...] = (
        ("as_true", "engaged", 0, 2),
        ("as_known", "engaged", 0, 1),
        (None, "marketing-qualified", 1, 3),
    )
    for projection, stage, reached, version in expected:
        [ana] = [one async for one in world.client.journeys(projection=projection)]
        assert (ana.stage, ana.version) == (stage, version), projection
        assert [one async for one in world.client.journeys(projection=projection, stage="customer")] == []
        stages = {one.stage: one for one in (await world.client.funnel(projection=projection)).total.stages}
        assert stages["marketing-qualified"].reached == reached
    for nothing in ("nowhere", "public", "pg_catalog", "as_true; DROP"):
        with pytest.raises(NotFound, match="there is no projection"):
            await world.client.funnel(projection=nothing)
    connection = await asyncpg.connect(world.database_url)
    await connection.execute("UPDATE as_true.rebuild SET events = 0")
    with pytest.raises(ApiError, match="is not finished"):
        await world.client.funnel(projection="as_true")
    await connection.execute("UPDATE as_known.projection SET playbook = 'another'")
    with pytest.raises(ApiError, match="with another playbook"):
        await world.client.funnel(projection="as_known")
    await connection.close()


async def test_a_diff_names_the_events_that_made_the_difference(world: World) -> None:
    found = await world.client.diff(ANA, world.known[1].isoformat(), world.known[2].isoformat(), axis="known")
    assert [(one.type, one.added) for one in found.events] == [("form_submitted", True)]
    fields = {one.field: one for one in found.differences}
    assert [one["channel"] for one in fields["touchpoints"].added or ()] == ["search"]
    assert (fields["score"].before, fields["score"].after) == (10, 25)
    assert "stage" not in fields
    true = await world.client.diff(ANA, _MONDAY.isoformat(), (_MONDAY + timedelta(hours=30)).isoformat())
    assert [one.type for one in true.events] == ["form_submitted", "lead_qualified"]
    assert {one.field for one in true.differences} >= {"stage", "handoffs", "score"}


async def test_the_stages_are_explained(world: World) -> None:
    found = {one.stage: one for one in (await world.client.explain_journey(ANA)).stages}
    assert found["engaged"].because == "content_downloaded is one of the stage's events"
    assert found["known"].because == "the event names the person, and not only a device"
    qualified = found["marketing-qualified"]
    assert qualified.event is not None
    assert (qualified.event.type, qualified.event.partition) == ("lead_qualified", 0)
    assert qualified.playbook.digest == RULES.digest
    [only] = (await world.client.explain_journey(ANA, stage="engaged")).stages
    assert only == found["engaged"]


async def test_times_that_cannot_be_are_refused(world: World) -> None:
    future = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    for times, said in (
        ({"at": future}, "at lies in the future"),
        ({"known_at": future}, "known_at lies in the future"),
        ({"known_at": "2001-01-01T00:00:00Z"}, "known_at lies before the log"),
        ({"at": "2026-03-02T09:00:00"}, "at has no offset"),
    ):
        with pytest.raises(ApiError, match=said):
            await world.client.journey(ANA, **times)
        with pytest.raises(ApiError, match=said):
            await world.client.identity(ANA, **times)
    with pytest.raises(NotFound):
        await world.client.journey(Identifier("user_id", "nobody"), at=_MONDAY.isoformat())
    with pytest.raises(ApiError, match="`to` is before `from`"):
        await world.client.diff(ANA, "2026-03-02T10:00:00Z", "2026-03-02T09:00:00Z")


@pytest.mark.parametrize(
    ("option", "time", "said"),
    [
        ("--at", "2999-01-01T00:00:00Z", "at lies in the future"),
        ("--known-at", "2001-01-01T00:00:00Z", "known_at lies before the log"),
    ],
)
async def test_nothing_is_begun_for_a_time_that_cannot_be(world: World, option: str, time: str, said: str) -> None:
    environment = {"TANDEM_DATABASE_URL": world.database_url, "TANDEM_KAFKA": "127.0.0.1:1"}
    refused = await command(environment, "replay", "--into", "past", option, time)
    assert (refused.code, said in refused.err) == (1, True)
    connection = await asyncpg.connect(world.database_url)
    assert await projections_beside(connection) == []
    await connection.close()


async def _tandem(address: str, *arguments: str) -> Done:
    return await command({"TANDEM_API": address, "COLUMNS": "200"}, *arguments)


async def test_the_commands(world: World) -> None:
    known = world.known[1].isoformat()
    journey = await _tandem(world.address, "journey", "user_id:ana", "--known-at", known, "--json")
    assert json.loads(journey.out)["version"] == 2
    diff = await _tandem(world.address, "diff", "user_id:ana", "--from", known, "--axis", "known")
    assert "form_submitted" in diff.out
    explained = await _tandem(world.address, "explain", "journey", "user_id:ana", "--stage", "engaged")
    assert "content_downloaded is one of the stage's events" in explained.out
    assert (await _tandem(world.address, "explain", "identity", "user_id:ana", "email:x@y.org")).code == 0
    wrong = await _tandem(world.address, "journey", "user_id:ana", "--at", "yesterday")
    assert (wrong.code, wrong.err.count("\n")) == (1, 1)


def test_the_view_of_a_score_says_which_threshold_it_has_reached() -> None:
    events = [decode(body(n, "meeting_booked", who={"user_id": "u"}, source="crm"), "sales") for n in range(4)]
    [journey] = fold_events(events, RULES).journeys.values()
    assert journey.life is not None
    because = {RULES.names[one.entry.stage]: one.because for one in reasons_of(journey, journey.life, RULES)}
    assert because["marketing-qualified"] == "the score of 120 has reached 100"
    assert journey_view(journey, RULES, 2**50).stage == "marketing-qualified"
