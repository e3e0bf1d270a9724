"""YAML that passes nothing over."""

import pytest
import yaml

from projections.playbook.model import DEFAULT_PLAYBOOK, InvalidPlaybook, Playbook
from projections.playbook.strict_yaml import parse_yaml, read_model


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("windows: {a: 1}\nname: x\nwindows: {b: 2}\n", "'windows' is given more than once"),
        ("a:\n  b: 1\n  b: 1\n", "'b' is given more than once"),
        ("{a: 2026-02-30}", "2026-02-30 is not a date"),
        ("{[1]: 2}", "unhashable"),
    ],
)
def test_what_would_be_passed_over_is_said_with_its_place(text: str, said: str) -> None:
    with pytest.raises(yaml.YAMLError, match=said) as error:
        parse_yaml(text)
    assert "line" in str(error.value)


def test_the_rest_is_as_ever() -> None:
    assert parse_yaml("a: [1, {b: x}]\nc: 2026-02-28\n<<: {d: 1}\n")["d"] == 1


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("score:\n", "scores:\n", r"at scores \(line {}, column 1\): there is no such field"),
        ("days: 60}", "dayz: 60}", r"silence\.dayz \(line {}, column \d+\): there is no such field"),
        ("[09:00-17:00]", "[09:00-17:00, 10:00-12:00]", r"\(line {}, column \d+\): hours overlap on mon"),
        ("limits: {user_id: 1", "limits: {user_id: 0", r"user_id.*\(line {}, column \d+\)"),
        ("to: engaged}", "to: nowhere}", r"\(line {}, column \d+\): stages: no stage is named 'nowhere'"),
    ],
)
def test_what_is_wrong_is_told_with_line_and_column(right: str, wrong: str, said: str) -> None:
    text = DEFAULT_PLAYBOOK.read_text("utf-8")
    line = text[: text.index(right)].count("\n") + 1
    with pytest.raises(InvalidPlaybook, match=said.format(line)):
        read_model(text.replace(right, wrong, 1), Playbook, "playbook", InvalidPlaybook)
