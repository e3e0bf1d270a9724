"""The help of every verb shows an example that works, and what was renamed is still understood."""

import shlex
from collections.abc import Iterator

import pytest
import typer
from typer.testing import CliRunner

from cli.main import app, main
from cli.renamed import renamed

ROOT = typer.main.get_command(app)


def verbs(command: object = ROOT, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of each verb, down through the groups."""
    inner: dict[str, object] = getattr(command, "commands", {})
    for name, one in inner.items():
        yield from verbs(one, (*path, name))
    if path and (not inner or getattr(command, "invoke_without_command", False)):
        yield path


@pytest.mark.parametrize("verb", list(verbs()), ids=" ".join)
def test_help_of_every_verb_shows_an_example_of_it(verb: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, [*verb, "--help"])
    assert shown.exit_code == 0
    described, _, example = " ".join(shown.output.split()).partition("Example: ")
    command = example.partition("Exit codes:")[0]
    _, words, given = f"{command} ".partition(f"tandem {' '.join(verb)} ")
    assert words, shown.output
    for option in (part for part in shlex.split(given.partition(" && ")[0]) if part.startswith("--")):
        assert option in described


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("playbook approve 7 --as sales", "playbook approve 7 --department sales"),
        ("handoffs accept 7 --as=sales --by rosa", "handoffs accept 7 --department=sales --by rosa"),
        ("contracts export --out there", "contracts export --output there"),
        ("identity quarantine --victims-of anonymous_id:kiosk", "identity quarantine --affected-by anonymous_id:kiosk"),
        ("identity explain user_id:7 user_id:9", "explain identity user_id:7 user_id:9"),
    ],
)
def test_old_spellings_are_understood_with_a_warning(old: str, new: str) -> None:
    arguments, [warning] = renamed(old.split())
    assert arguments == new.split()
    assert "deprecated" in warning
    assert renamed(arguments) == (arguments, [])


@pytest.mark.parametrize("text", ["", "playbook", "journeys --as x", "playbook comment 7 -- --as"])
def test_other_words_are_left_as_they_are(text: str) -> None:
    assert renamed(text.split()) == (text.split(), [])


def test_the_warning_is_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["contracts", "export", "--out", "there", "--help"])
    shown = capsys.readouterr()
    assert "--out is deprecated" in shown.err
    assert "--output" in shown.out
    assert "--out " not in shown.out
