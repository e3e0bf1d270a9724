"""What the pages promise: each case of identity has a rule and a test; who may do what is what the code lets do."""

import re
from pathlib import Path

import pytest

from api.policy import KEY, POLICY, ROLES

ROOT = Path(__file__).parents[1]
_ROW = re.compile(r"\| ([0-9, ]+) \|.+\|(.*)\|(.*)\|")
_TESTS = ("tests/projections/test_identity.py", "tests/projections/test_handoffs.py", "tests/audit/test_erase.py")


def rows() -> dict[int, tuple[str, str]]:
    """Case -> (rule, test) of the table in docs/explanation/identity.md."""
    found = {}
    for line in (ROOT / "docs/explanation/identity.md").read_text("utf-8").splitlines():
        if (row := _ROW.fullmatch(line)) is not None:
            for case in row[1].split(","):
                found[int(case)] = (row[2].strip(), row[3].strip())
    return found


def test_all_cases_are_in_the_table() -> None:
    assert rows().keys() == set(range(1, 36))


@pytest.mark.parametrize("case", range(1, 36))
def test_a_case_has_a_rule_and_a_test(case: int) -> None:
    rule, test = rows()[case]
    assert rule
    assert f"`test_case_{case}`" in test
    source = "".join((ROOT / file).read_text("utf-8") for file in _TESTS)
    assert re.search(rf"^(async )?def test_case_{case}_\w+", source, re.MULTILINE)


def test_the_table_of_access_is_the_policy() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (ROOT / "docs/reference/access.md").read_text("utf-8").splitlines()
        if line.startswith("| ")
    ]
    columns = rows[0][1:]
    told = {
        row[0].strip("`"): {column for column, cell in zip(columns, row[1:], strict=True) if cell == "yes"}
        for row in rows[2:]
    }
    assert set(columns) == ROLES | {KEY, "recorded"}
    assert told == {
        endpoint.replace(":path", ""): rule.roles | ({"recorded"} if rule.personal else set())
        for endpoint, rule in POLICY.items()
    }


def test_the_readme_has_the_snippets_as_they_are_tested() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert "## Subscribe in five lines" in readme
    for snippet in (ROOT / "docs/snippets").iterdir():
        assert snippet.read_text("utf-8") in readme, snippet.name
