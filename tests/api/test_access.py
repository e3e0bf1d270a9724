"""Access: role by endpoint by field, from the code."""

import uuid
from typing import Any

from api.access.policy import DEPARTMENTS, KEY, OPEN, POLICY, ROLES
from projections.identifiers import identifier_key
from projections.playbook.windows import HIDEABLE, Window
from tests.api.tokens import token
from tests.api.world import ANA, BOB, COST, EVENTS, MAIL, NOTE, WINDOWS, Case, World, cases, endpoints
from tests.support import project


async def test_every_route_has_a_policy_and_a_case(world: World) -> None:
    found = endpoints(world.app)
    assert found
    assert found <= OPEN | POLICY.keys()
    assert found <= cases(world.topics).keys()


async def test_a_route_without_a_policy_is_denied(world: World) -> None:
    @world.app.get("/v1/new")
    async def new() -> str:
        return "open to all"

    assert "GET /v1/new" in endpoints(world.app)
    for role in sorted(ROLES):
        assert (await world.get("/v1/new", role)).status_code == 403
    assert (await world.client.get("/v1/new")).status_code == 401


async def test_role_by_endpoint(world: World) -> None:
    """Each cell of the table; whoever may not, reads the same words everywhere."""
    callers: dict[str, tuple[frozenset[str], str | None]] = {
        "nobody": (frozenset(), None),
        "somebody without a role": (frozenset({""}), token("cook", KEY)),
        "a key of marketing": (frozenset({KEY}), (await world.key("marketing"))[1]),
        **{role: (frozenset({role}), token(role)) for role in sorted(ROLES)},
    }
    denied: dict[int, set[str]] = {401: set(), 403: set()}
    for endpoint in sorted(endpoints(world.app)):
        for name, (roles, credentials) in callers.items():
            before = len(await world.recorded())
            answer = await world.ask(endpoint, credentials)
            if endpoint in OPEN:
                assert answer.status_code == 200, (endpoint, name)
                continue
            rule = POLICY[endpoint]
            allowed = bool(rule.roles & roles) and not _is_another_s(endpoint, roles)
            if allowed:
                assert answer.status_code in (200, 201), (endpoint, name, answer.text)
            elif rule.roles & roles and "handoffs" in endpoint:
                assert answer.status_code == 409, (endpoint, name)
            elif rule.roles & roles and "dead-letters" in endpoint:
                assert answer.status_code == 404, (endpoint, name)
            else:
                assert answer.status_code == (403 if credentials else 401), (endpoint, name, answer.text)
                denied[answer.status_code].add(answer.text)
            recorded = len(await world.recorded()) - before
            assert recorded == (allowed and rule.personal), (endpoint, name)
    assert len(denied[401]) == len(denied[403]) == 1


def _is_another_s(endpoint: str, roles: frozenset[str]) -> bool:
    """The case is about marketing's own topic."""
    if endpoint == "POST /v1/events":
        return KEY not in roles
    if endpoint == "POST /v1/handoffs/{handoff}/decisions":
        return not roles & {"sales", "sales-planner"}  # a qualified lead is theirs to reject
    if endpoint.startswith("GET /v1/dead-letters/"):
        return not roles & {"marketing", "marketing-planner", "auditor"}
    return False


def fields(answer: Any, path: str = "") -> set[str]:
    """Paths of all fields; lists do not count."""
    if isinstance(answer, list):
        return set().union(*(fields(one, path) for one in answer)) if answer else set()
    if not isinstance(answer, dict):
        return set()
    inner = {f"{path}.{name}".lstrip("."): value for name, value in answer.items()}
    return inner.keys() | set().union(*(fields(value, name) for name, value in inner.items()))


async def test_role_by_field(world: World) -> None:
    """A role is shown what the auditor is shown, but for the fields that its window hides, and those are named."""
    seen_to_be_hidden: set[str] = set()
    for endpoint in sorted(endpoints(world.app)):
        for role, department in sorted(DEPARTMENTS.items()):
            if endpoint in OPEN or role not in POLICY[endpoint].roles or "dead-letters" in endpoint:
                continue
            if endpoint == "POST /v1/handoffs/{handoff}/decisions":
                continue  # one department's to decide; its answer has nothing of a person
            if endpoint == "GET /openapi.json":
                continue  # it describes fields, and is the same for everybody
            if endpoint == "GET /v1/diff/{identifier:path}":
                continue  # it names fields as values; test_what_is_hidden_is_in_no_answer looks into it
            full = (await world.ask(endpoint, token("auditor", "marketing-planner"))).json()
            shown = (await world.ask(endpoint, token(role))).json() if endpoint != "POST /v1/events" else full
            hidden = WINDOWS[department].hidden
            gone = {path for path in fields(full) if any(f".{path}.".count(f".{one}.") for one in hidden)}
            seen = {path for path in fields(shown) if path.rpartition(".")[2] != "hidden"}
            assert seen == fields(full) - gone, (endpoint, role)
            assert {path for path in shown.get("hidden", ()) if not path.startswith("identifiers.")} <= hidden
            assert bool(gone) <= ("hidden" in shown), (endpoint, role)
            seen_to_be_hidden |= gone
    assert seen_to_be_hidden >= {"milestones.note", "touchpoints.cost", "touchpoints.cost.EUR"}


async def test_what_is_hidden_is_in_no_answer(world: World) -> None:
    for endpoint in sorted(endpoints(world.app) - OPEN):
        if "dead-letters" in endpoint or endpoint == "GET /v1/reads":
            continue
        for role in ("marketing", "marketing-planner"):
            text = (await world.ask(endpoint, token(role))).text
            assert NOTE not in text, endpoint
            assert MAIL not in text, endpoint
        for role in ("sales", "sales-planner"):
            assert str(COST) not in (await world.ask(endpoint, token(role))).text, endpoint
    assert MAIL in (await world.get("/v1/identity/conflicts", "sales")).text
    assert "email (hidden)" in (await world.get("/v1/identity/conflicts", "marketing")).text
    person = (await world.get(f"/v1/identity/persons/{ANA}", "marketing")).json()
    assert person["hidden"] == ["identifiers.email"]
    past = await world.get(f"/v1/identity/persons/{ANA}?at=2026-01-01T00:00:01.5Z", "marketing")
    assert past.status_code == 200
    assert MAIL not in past.text


async def test_asking_by_what_is_hidden_is_refused(world: World) -> None:
    for path in (
        f"journeys/email:{MAIL}",
        f"identity/persons/email:{MAIL}",
        f"identity/explain?a=email:{MAIL}&b={BOB}",
    ):
        assert (await world.get(f"/v1/{path}", "marketing")).status_code == 403, path
        assert (await world.get(f"/v1/{path}", "sales")).status_code == 200, path
    written_as_id = f"journey:{uuid.UUID(bytes=identifier_key('email', MAIL))}"
    assert (await world.get(f"/v1/journeys/{written_as_id}", "sales")).status_code == 200
    assert (await world.get(f"/v1/journeys/{written_as_id}", "marketing")).status_code == 403
    join = {"ruling": "join", "identifiers": [f"email:{MAIL}", BOB]}
    preview = Case("/v1/identity/preview", join)
    assert (await world.ask("POST /v1/identity/preview", token("marketing-planner"), preview)).status_code == 403
    assert (await world.ask("POST /v1/identity/preview", token("sales-planner"), preview)).status_code == 200


async def test_credit_is_not_given_by_what_is_hidden(world: World) -> None:
    windows = world.app.state.context.access.windows()
    for field, refused in (("value", ("channel", "campaign")), ("channel", ("channel",)), ("campaign", ("campaign",))):
        windows["sales"] = Window("sales", frozenset(HIDEABLE[field]))
        for by in ("channel", "campaign"):
            answer = await world.get(f"/v1/attribution?by={by}", "sales")
            assert answer.status_code == (403 if by in refused else 200), (field, by)


async def test_two_roles_see_what_either_sees(world: World) -> None:
    both = (await world.get(f"/v1/journeys/{ANA}", "marketing", "sales")).json()
    assert both == (await world.get(f"/v1/journeys/{ANA}", "auditor")).json() | {"as_of": both["as_of"]}
    letters = (await world.get("/v1/dead-letters", "marketing", "sales")).json()["items"]
    assert {letter["topic"] for letter in letters} == {world.topics["marketing"], world.topics["sales"]}


async def test_dead_letters_are_their_department_s(world: World) -> None:
    for role, owner in (*DEPARTMENTS.items(), ("auditor", None)):
        found = {letter["topic"] for letter in (await world.get("/v1/dead-letters", role)).json()["items"]}
        assert found == ({world.topics[owner]} if owner else set(world.topics.values()))
        for other, topic in world.topics.items():
            answer = await world.get(f"/v1/dead-letters/{topic}/2/0", role)
            assert answer.status_code == (200 if owner in (None, other) else 404)


async def test_a_ruling_is_by_whoever_rules(world: World) -> None:
    answer = await world.ask("POST /v1/identity/rulings", token("sales-planner", sub="uma"))
    assert answer.status_code == 201
    topic, place = world.topics["joint"], answer.json()["event"]
    assert place["topic"] == topic
    await project(world.kafka, world.database_url, len(EVENTS) + 1)
    explained = (await world.get(f"/v1/identity/explain?a={ANA}&b={BOB}", "sales")).json()
    assert explained["ruling"]["by"] == "uma"
