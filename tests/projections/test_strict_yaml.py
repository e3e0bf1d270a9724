"""YAML that passes nothing over."""

import pytest
import yaml

from projections.strict_yaml import parse_yaml


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("windows: {a: 1}\nname: x\nwindows: {b: 2}\n", "'windows' stands twice"),
        ("a:\n  b: 1\n  b: 1\n", "'b' stands twice"),
        ("{a: 2026-02-30}", "2026-02-30 is no date"),
        ("{[1]: 2}", "unhashable"),
    ],
)
def test_what_would_be_passed_over_is_said_with_its_place(text: str, said: str) -> None:
    with pytest.raises(yaml.YAMLError, match=said) as error:
        parse_yaml(text)
    assert "line" in str(error.value)


def test_the_rest_is_as_ever() -> None:
    assert parse_yaml("a: [1, {b: x}]\nc: 2026-02-28\n<<: {d: 1}\n")["d"] == 1
