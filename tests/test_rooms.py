"""The house: which room may import which."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "schemas": set(),
    "projections": {"schemas"},
    "store": {"schemas", "projections"},
    "streams": {"schemas", "projections", "store"},
    "audit": {"schemas", "projections", "store", "streams"},
    "api": {"schemas", "projections", "store", "streams", "audit"},
    "deploy": {"schemas"},
    "cli": {"schemas", "projections", "store", "streams", "audit", "api", "deploy", "tandem"},
    "sdk/tandem": {"tandem"},
}
ROOMS = {room.split("/")[-1] for room in MAY_IMPORT}


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_imports_follow_the_arrows(room: str) -> None:
    for file in (ROOT / room).rglob("*.py"):
        for name in imported(file):
            assert name == room or name not in ROOMS or name in MAY_IMPORT[room], f"{file} imports {name}"


def test_all_sql_is_in_store() -> None:
    for room in ROOMS - {"store", "tandem"}:
        for file in (ROOT / room).rglob("*.py"):
            text = file.read_text("utf-8")
            assert "SELECT " not in text, file
            assert "INSERT INTO" not in text, file


def imported(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found
