"""The house: which room may import which, no circles, small modules, all SQL in store/; the picture is on its page."""

import ast
import re
from collections.abc import Iterator
from statistics import median

import pytest

from tests import rooms

MAY_IMPORT = {
    "tandem": set[str](),
    "schemas": set[str](),
    "projections": {"schemas"},
    "store": {"schemas", "projections"},
    "streams": {"schemas", "projections", "store"},
    "audit": {"schemas", "projections", "store", "streams"},
    "api": {"schemas", "projections", "store", "streams", "audit"},
    "deploy": {"schemas"},
    "cli": {"schemas", "projections", "store", "streams", "audit", "api", "deploy", "tandem"},
}
#: Which sub-package may import which others of its room. Modules beside them lie below or above: no circle may arise.
PACKAGES_MAY_IMPORT = {
    "tandem._async": set[str](),
    "tandem._sync": set[str](),
    "schemas.answers": set[str](),
    "projections.playbook": set[str](),
    "projections.journey": {"projections.playbook"},
    "projections.identity": {"projections.playbook", "projections.journey"},
    "projections.attribution": {"projections.playbook", "projections.journey"},
    "projections.views": {
        *("projections.playbook", "projections.journey", "projections.identity", "projections.attribution"),
    },
    "streams.engine": set[str](),
    "streams.feed": {"streams.engine"},
    "streams.agents": set[str](),
    "api.http": set[str](),
    "api.access": {"api.http"},
    "api.feed": {"api.http", "api.access"},
    "api.routes": {"api.http", "api.access", "api.feed"},
    "cli.render": set[str](),
    "cli.stack": set[str](),
    "cli.demo": {"cli.render", "cli.stack"},
    "cli.commands": {"cli.render", "cli.stack", "cli.demo"},
    "deploy.embedded": set[str](),
}
#: Packages whose modules know nothing of each other, and the one module that may import them.
ENDS = {"api.routes": "api.app", "cli.commands": "cli.main"}
LONGEST_CHAIN = 7  #: arrows from module to module inside projections
LONGEST_MODULE, MEDIAN_MODULE = 450, 120  #: lines
#: The SDK keeps its cursors in a database of the user's: its statements are its own.
MAY_SPEAK_SQL = {"store", "tandem"}
_SQL = re.compile(
    r"(^|[;(])\s*(with\s+\w+\s+as\s*\(|select\s.*\bfrom\s|select\s+\w+\(|insert\s+into\s|update\s+\w[\w.]*\s+(as\s+\w+\s+)?set\s"
    r"|delete\s+from\s|create\s+(or\s+replace\s+)?(unlogged\s+|temp\w*\s+|unique\s+)*(table|index|schema|view|function|trigger|database)\s)",
    re.IGNORECASE | re.DOTALL,
)

HOUSE = rooms.modules()
ARROWS = rooms.imports(HOUSE)


def test_the_table_lists_all_rooms_and_packages() -> None:
    assert MAY_IMPORT.keys() == set(rooms.ROOMS)
    assert PACKAGES_MAY_IMPORT.keys() == {name for room in rooms.ROOMS for name in rooms.packages_of(ARROWS, room)}


@pytest.mark.parametrize("room", rooms.ROOMS)
def test_imports_follow_the_arrows(room: str) -> None:
    assert rooms.rooms_of(ARROWS)[room] <= MAY_IMPORT[room]


@pytest.mark.parametrize("package", PACKAGES_MAY_IMPORT)
def test_imports_within_a_room_follow_the_arrows(package: str) -> None:
    drawn = rooms.packages_of(ARROWS, package.partition(".")[0])
    assert drawn[package] <= PACKAGES_MAY_IMPORT[package]


@pytest.mark.parametrize(("package", "user"), ENDS.items())
def test_routes_and_commands_stand_alone(package: str, user: str) -> None:
    used = {(name, target) for name in ARROWS for target in ARROWS[name] if target.startswith(f"{package}.")}
    assert {(name, target) for name, target in used if name != user} == set()


def test_no_circles_between_modules() -> None:
    assert rooms.circles(ARROWS) == []


@pytest.mark.parametrize("room", rooms.ROOMS)
def test_no_circles_between_the_boxes_of_a_room(room: str) -> None:
    assert rooms.circles(rooms.boxes_of(ARROWS, room)) == []


def test_chains_inside_projections_are_short() -> None:
    assert len(rooms.longest_chain(rooms.inside(ARROWS, "projections"))) - 1 <= LONGEST_CHAIN


def test_modules_are_small() -> None:
    lines = {module.name: module.lines for module in HOUSE.values() if not module.generated}
    assert median(lines.values()) <= MEDIAN_MODULE
    assert {name: size for name, size in lines.items() if size > LONGEST_MODULE} == {}


def test_all_sql_is_in_store() -> None:
    assert [
        f"{module.file}:{line}: {text[:60]!r}"
        for module in HOUSE.values()
        if module.name.partition(".")[0] not in MAY_SPEAK_SQL
        for line, text in texts(module.tree)
        if _SQL.search(text)
    ] == []
    folders = {
        file.relative_to(rooms.ROOT).parts[0] for room in MAY_IMPORT for file in (rooms.ROOT / room).rglob("*.sql")
    }
    assert folders <= {"store"}


@pytest.mark.parametrize(
    "text",
    [
        *("SELECT 1 FROM x", "select now()", "\n  INSERT INTO x VALUES (1)", "UPDATE x SET a = 1", "DELETE FROM x"),
        *("CREATE TABLE x (a int)", "WITH y AS (SELECT 1)", "BEGIN; DELETE FROM x", "CREATE UNIQUE INDEX i ON x (a)"),
    ],
)
def test_sql_is_recognised(text: str) -> None:
    assert _SQL.search(text)


@pytest.mark.parametrize(
    "text",
    [
        "CREATE or DESCRIBE",
        "Update the index.",
        "Delete what is old from it",
        "in PostgreSQL, ALTER TABLE",
        "select it",
    ],
)
def test_prose_is_no_sql(text: str) -> None:
    assert not _SQL.search(text)


def test_the_picture_is_on_its_page() -> None:
    assert rooms.drawn() == rooms.mermaid(ARROWS), "run python -m tests.rooms --write"


def texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, text) of each literal that is no docstring; what an f-string fills in is a word there."""
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    parts: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts |= {id(part) for part in node.values}
            yield (
                node.lineno,
                "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values),
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and not {id(node)} & (prose | parts):
            yield node.lineno, node.value
