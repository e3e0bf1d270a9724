"""Who may do what: endpoint -> roles. What is not here, nobody may."""

from typing import NamedTuple

from starlette.routing import compile_path

from projections.playbook.windows import EVERYTHING, Window, widest

MARKETING, SALES, AUDITOR = "marketing", "sales", "auditor"
MARKETING_PLANNER, SALES_PLANNER = "marketing-planner", "sales-planner"
KEY = "key"  #: what a system may that has an API key; no token has this role

PLANNERS = frozenset({MARKETING_PLANNER, SALES_PLANNER})
ROLES = frozenset({MARKETING, SALES, AUDITOR}) | PLANNERS

#: Through whose window a role looks; the auditor looks through none.
DEPARTMENTS = {
    MARKETING: "marketing",
    MARKETING_PLANNER: "marketing",
    SALES: "sales",
    SALES_PLANNER: "sales",
}


#: In whose name a planner decides about the playbook.
PLANS_FOR = {role: DEPARTMENTS[role] for role in PLANNERS}


class Rule(NamedTuple):
    """Who may use an endpoint."""

    roles: frozenset[str]
    personal: bool = True  #: whether its answers hold personal data: then they leave a record


#: For whoever reaches the port. They tell nothing of persons.
OPEN = frozenset({"GET /healthz", "GET /readyz", "GET /metrics"})

POLICY = {
    "GET /openapi.json": Rule(ROLES, personal=False),
    "GET /v1/journeys/{identifier:path}": Rule(ROLES),
    "GET /v1/journeys": Rule(ROLES),
    "GET /v1/changes": Rule(ROLES),
    "GET /v1/funnel": Rule(ROLES, personal=False),
    "GET /v1/attribution": Rule(ROLES, personal=False),
    "GET /v1/accounts/{account:path}": Rule(ROLES, personal=False),
    "GET /v1/identity/persons/{identifier:path}": Rule(ROLES),
    "GET /v1/identity/explain": Rule(ROLES),
    "GET /v1/identity/conflicts": Rule(ROLES),
    "GET /v1/identity/quarantine": Rule(ROLES),
    "GET /v1/identity/victims": Rule(ROLES),
    "POST /v1/identity/preview": Rule(PLANNERS),
    "POST /v1/identity/rulings": Rule(PLANNERS),
    "GET /v1/diff/{identifier:path}": Rule(ROLES),
    "GET /v1/explain/{identifier:path}": Rule(ROLES),
    "GET /v1/handoffs": Rule(ROLES),
    "GET /v1/handoffs/report": Rule(ROLES, personal=False),
    "GET /v1/handoffs/{handoff}": Rule(ROLES),
    "POST /v1/handoffs/{handoff}/decisions": Rule(frozenset({MARKETING, SALES}) | PLANNERS),
    "GET /v1/audiences": Rule(ROLES, personal=False),
    "GET /v1/audiences/{name}": Rule(ROLES),
    "GET /v1/playbook": Rule(ROLES, personal=False),
    "GET /v1/playbook/proposals": Rule(ROLES, personal=False),
    "GET /v1/playbook/proposals/{proposal}": Rule(ROLES, personal=False),
    "POST /v1/playbook/proposals": Rule(PLANNERS, personal=False),
    "POST /v1/playbook/proposals/{proposal}/decisions": Rule(PLANNERS, personal=False),
    "POST /v1/playbook/what-if": Rule(PLANNERS, personal=False),
    "GET /v1/dead-letters": Rule(ROLES),
    "GET /v1/dead-letters/{topic}/{partition}/{offset}": Rule(ROLES),
    "GET /v1/reads": Rule(frozenset({AUDITOR})),
    "POST /v1/events": Rule(PLANNERS | {KEY}, personal=False),
}

_PLACES = [(endpoint, *endpoint.split(" ", 1)) for endpoint in (*OPEN, *POLICY)]
_PATTERNS = [(endpoint, method, compile_path(path)[0]) for endpoint, method, path in _PLACES]


def endpoints_of(method: str, path: str) -> list[str]:
    """The endpoints that a request could mean. None for what the policy does not name."""
    return [endpoint for endpoint, named, pattern in _PATTERNS if named == method and pattern.match(path)]


def is_open(endpoints: list[str]) -> bool:
    """Whether a request needs no credentials."""
    return bool(endpoints) and OPEN.issuperset(endpoints)


def may(roles: frozenset[str], endpoints: list[str]) -> bool:
    """Whether one of the roles may use each endpoint that the request could mean; there must be one."""
    rules = [POLICY.get(endpoint) for endpoint in endpoints]
    return bool(rules) and all(rule is not None and rule.roles & roles for rule in rules)


def may_publish(roles: frozenset[str], department: str | None, topic: str) -> bool:
    """Whether events may be published to the topic of a department, or of both; `department` is the API key's."""
    return bool(roles & PLANNERS) if topic == "joint" else topic == department


def departments_of(roles: frozenset[str]) -> frozenset[str]:
    """The departments in whose name somebody may decide."""
    return frozenset(PLANS_FOR[role] for role in roles & PLANNERS)


def topics_of(roles: frozenset[str]) -> list[str] | None:
    """Departments of the topics whose dead letters the roles may see; None for all."""
    return None if AUDITOR in roles else sorted({DEPARTMENTS[role] for role in roles if role in DEPARTMENTS})


def window_for(roles: frozenset[str], windows: dict[str, Window]) -> Window:
    """Several roles see what any of them sees."""
    if AUDITOR in roles:
        return EVERYTHING
    return widest(windows[name] for name in sorted({DEPARTMENTS[role] for role in roles}))
