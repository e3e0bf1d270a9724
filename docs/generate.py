"""Writes the pages of docs/reference that the code knows best: errors.md and cli.md.

Usage: python docs/generate.py
"""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import typer

from cli.main import app
from schemas.rejection import MEANINGS

ROOT = Path(__file__).parents[1]
_ROOMS = ("schemas", "projections", "store", "streams", "audit", "api", "cli", "deploy", "sdk/tandem")
_ROOT_ERROR = "TandemError"
_WIDTH = 100

#: What the API's problems mean, by status and title; where a status has several details, `detail` says more.
_PROBLEMS = {
    (400, "Not JSON"): "The body is no JSON. Correct it.",
    (401, "Not authenticated"): "No valid token or key came along. Send `Authorization: Bearer ...`.",
    (403, "Forbidden"): "The token or key may not do this, or access is off and the request came from elsewhere.",
    (404, "Not found"): "There is no such path, journey, hand-off or other thing. Check what `detail` names.",
    (405, "Method not allowed"): "The path exists, but not with this method. See the list of endpoints.",
    (410, "Reset"): "The cursor cannot be resumed. Start over with `snapshot=true`.",
    (413, "Too large"): "The body is too large. Send fewer events at once.",
    (422, "Unprocessable"): "A parameter or a field does not fit. `detail` names it.",
    (500, "Internal error"): "A fault of Tandem. The server's log has the traceback: report a bug.",
    (503, "Authorization unavailable"): "Keys or tokens cannot be checked now. Try again after `Retry-After`.",
    (503, "Broker unavailable"): "The broker did not acknowledge in time. Send the same events again.",
    (503, "No broker"): "This API was started without a broker. Give it `TANDEM_KAFKA`.",
    (503, "Not ready"): "The database does not answer, or no worker has run yet. Try again after `Retry-After`.",
}
#: What else may go wrong with one event of a request, beside the reasons of dead letters.
_REFUSALS = {
    "source_not_allowed": "The API key is not for this source. Use its own key, or name the right source.",
    "not_allowed": "With a token one publishes decisions only. Use an API key for facts.",
}


class NamedError(NamedTuple):
    """An error class, as its docstring has it."""

    name: str
    meaning: str
    remedy: str  #: what to do; empty if the docstring does not say


def main() -> None:
    """Write the pages."""
    for path, text in pages().items():
        path.write_text(text, "utf-8")


def pages() -> dict[Path, str]:
    """Each generated page with its text."""
    reference = ROOT / "docs" / "reference"
    return {reference / "errors.md": errors_page(), reference / "cli.md": cli_page()}


def errors_page() -> str:
    """Every named error, problem and reason, with what to do."""
    problems = [(f"{status} {title}", text) for (status, title), text in sorted(_PROBLEMS.items())]
    known = named_errors()
    parts = [
        "# Errors\n\nMade by `python docs/generate.py` from docstrings: edit those.\n",
        "The command prints one line, `tandem: ...`, and exits with 1 (2 for wrong usage). Logs carry its name.\n",
        "## Problems of the API\n\nThe body is `application/problem+json`; `detail` says more. A 403 or 409 that a\n"
        "decision or a hidden field causes has the title `Error`: do what `detail` says.\n",
        _table(("Status and title", "What it means, and what to do"), problems),
        "## Dead letters\n\nReasons why a record is not applied. The API answers with them, too.\n",
        _table(("Reason", "What it means, and what to do"), _coded(MEANINGS)),
        "`POST /v1/events` knows two more:\n",
        _table(("Reason", "What it means, and what to do"), _coded(_REFUSALS)),
        "## Errors of the SDK\n\nAll are subclasses of `tandem.TandemError`.\n",
        _table(("Error", "What it means", "What to do"), _rows(known["sdk/tandem"])),
        "## Errors of the platform\n\nBy room. All are subclasses of `schemas.errors.TandemError`.\n",
    ]
    for room in _ROOMS[:-1]:
        if known[room]:
            parts += [f"### {room}\n", _table(("Error", "What it means", "What to do"), _rows(known[room]))]
    return "\n".join(parts)


def named_errors() -> dict[str, list[NamedError]]:
    """The subclasses of TandemError by room, and the SDK's root; sorted by name."""
    classes = [(room, node) for room in _ROOMS for node in _classes(ROOT / room)]
    names = {_ROOT_ERROR}
    while more := {node.name for _, node in classes if _bases(node) & names} - names:
        names |= more
    known: dict[str, list[NamedError]] = {room: [] for room in _ROOMS}
    for room, node in classes:
        if _bases(node) & names or (room, node.name) == ("sdk/tandem", _ROOT_ERROR):
            meaning, _, remedy = " ".join((ast.get_docstring(node) or "").split()).partition(". ")
            known[room].append(NamedError(node.name, meaning.rstrip(".") + ".", remedy))
    return {room: sorted(errors) for room, errors in known.items()}


def problems_raised() -> set[tuple[int, str]]:
    """Status and title of each problem that the API's code names."""
    calls = [node for file in (ROOT / "api").rglob("*.py") for node in ast.walk(_parsed(file))]
    return {
        (int(str(node.args[0].value)), str(node.args[1].value))
        for node in calls
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "problem"
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[1], ast.Constant)
    }


def problems_described() -> set[tuple[int, str]]:
    """Status and title of each problem that the page has."""
    return set(_PROBLEMS)


def cli_page() -> str:
    """The help of the command and all its commands."""
    parts = [
        "# The command\n\nMade by `python docs/generate.py` from `tandem --help`: edit the commands' docstrings.\n",
        "Exit codes: 0 done, 1 a named error in one line or a check that failed, 2 wrong usage. `tandem import` has\n"
        "3, too: some rows could not be mapped.\n",
    ]
    for names, command in _commands(("tandem",), typer.main.get_command(app)):
        text = "\n".join(line.rstrip() for line in _help(names, command).splitlines())
        parts.append(f"{'#' * min(len(names) + 1, 4)} {' '.join(names)}\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


def _commands(names: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield names, command
    for name, child in sorted(getattr(command, "commands", {}).items()):
        yield from _commands((*names, name), child)


def _help(names: tuple[str, ...], command: Any) -> str:
    context = command.context_class(
        command,
        info_name=" ".join(names),
        terminal_width=_WIDTH,
        max_content_width=_WIDTH,
        help_option_names=["--help"],
    )
    return str(command.get_help(context)).strip()


def _classes(folder: Path) -> Iterator[ast.ClassDef]:
    for file in sorted(folder.rglob("*.py")):
        yield from (node for node in _parsed(file).body if isinstance(node, ast.ClassDef))


def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"))


def _bases(node: ast.ClassDef) -> set[str]:
    return {base.id for base in node.bases if isinstance(base, ast.Name)}


def _rows(errors: list[NamedError]) -> list[tuple[str, ...]]:
    return [(f"`{error.name}`", error.meaning, error.remedy) for error in errors]


def _coded(texts: dict[str, str]) -> list[tuple[str, ...]]:
    return [(f"`{name}`", text) for name, text in texts.items()]


def _table(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [titles, ("---",) * len(titles), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    main()
