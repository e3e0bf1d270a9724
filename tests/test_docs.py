"""What the pages promise: links lead somewhere, paths exist, tables are what the code says."""

import re
from functools import cache
from pathlib import Path

import pytest

from api.access.policy import KEY, POLICY, ROLES
from docs.generate import named_errors, pages, problems_described, problems_raised

ROOT = Path(__file__).parents[1]
_FOLDERS = (
    *("api", "audit", "bench", "cli", "connectors", "console", "deploy", "docs", "examples", "projections", "schemas"),
    *("sdk", "store", "streams", "tests"),
)
_PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / ".github").rglob("*.md"),
        *(page for folder in _FOLDERS for page in (ROOT / folder).rglob("*.md") if "node_modules" not in page.parts),
    ]
)
_NAMES = [str(page.relative_to(ROOT)) for page in _PAGES]
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(r"(?<=\n\n)(?: {4}.*\n+)+")
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]\[]*(?:\[[^\]]*\][^\]\[]*)?\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_PATH = re.compile(rf"(?:{'|'.join(_FOLDERS)})/[\w./*-]*")
_BARE = re.compile(rf"(?<![\w./-])(?:{'|'.join(_FOLDERS)})/[\w./-]*\.(?:json|md|py|sh|sql|yaml)\b")
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


@pytest.mark.parametrize("page", _PAGES, ids=_NAMES)
def test_links_lead_somewhere(page: Path) -> None:
    text = _CODE.sub("", _prose(page))
    assert [link for link in _LINK.findall(text) if not _is_there(page, link)] == []


def _is_there(page: Path, link: str) -> bool:
    if re.match(r"[a-z]+:", link):  # another site: not ours to follow
        return True
    name, _, anchor = link.partition("#")
    target = page if not name else (page.parent / name).resolve()
    return target.is_file() and (not anchor or anchor in _anchors(target))


def _anchors(page: Path) -> set[str]:
    """What links may name in a page, as GitHub makes it of the headings."""
    headings = _HEADING.findall(_FENCE.sub("", page.read_text("utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", _PAGES, ids=_NAMES)
def test_paths_exist(page: Path) -> None:
    """Every path that begins with one of our folders: in backticks, or bare with an ending. `*` is any name."""
    text = _prose(page)
    named = [code for code in _CODE.findall(text) if _PATH.fullmatch(code)]
    named += _BARE.findall(_LINK.sub("", _CODE.sub("", text)))
    assert [path for path in named if not _exists(path)] == []


def _exists(path: str) -> bool:
    return any(ROOT.glob(path)) if "*" in path else (ROOT / path).exists()


def _prose(page: Path) -> str:
    return _INDENTED.sub("\n", _FENCE.sub("", page.read_text("utf-8")))


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.name)
def test_a_generated_page_is_up_to_date(path: Path) -> None:
    assert path.read_text("utf-8") == pages()[path], "run `python docs/generate.py`"


def test_every_error_says_what_to_do() -> None:
    silent = [(room, error.name) for room, errors in named_errors().items() for error in errors if not error.remedy]
    assert silent == [], "write the docstring as: What it means. What to do."


def test_every_problem_of_the_api_is_described() -> None:
    assert problems_raised() <= problems_described()


def test_every_setting_is_on_its_page() -> None:
    told = set(re.findall(r"TANDEM_[A-Z_]+", (ROOT / "docs/reference/settings.md").read_text("utf-8")))
    read = {
        name
        for file in (ROOT / "cli").rglob("*.py")
        for name in re.findall(r"""["'](TANDEM_[A-Z_]+)["']""", file.read_text("utf-8"))
    }
    assert read <= told


def test_the_laws_are_numbered() -> None:
    laws = (ROOT / "docs/explanation/laws.md").read_text("utf-8")
    assert re.findall(r"^## Law (\d+): ", laws, re.MULTILINE) == [str(number) for number in range(1, 11)]


def test_every_decision_is_in_the_index() -> None:
    index = (ROOT / "docs/decisions/index.md").read_text("utf-8")
    pages = {page.name for page in (ROOT / "docs/decisions").glob("*.md")} - {"index.md"}
    assert {page for page in pages if f"({page})" not in index} == set()


@pytest.mark.parametrize("page", _PAGES, ids=_NAMES)
def test_a_page_can_be_reached_from_the_readme(page: Path) -> None:
    """By links alone; templates of issues are for the forge."""
    assert page in _reachable() or ".github" in page.parts


@cache
def _reachable() -> frozenset[Path]:
    known, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in known or page.suffix != ".md" or not page.is_file():
            continue
        known.add(page)
        waiting += [(page.parent / link.partition("#")[0]).resolve() for link in _LINK.findall(_prose(page))]
    return frozenset(known)
