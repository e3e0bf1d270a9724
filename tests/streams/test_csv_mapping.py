"""The mapping of CSV files: which spellings it takes."""

from typing import Any

import pytest

from streams.csv_mapping import EventRule

_RULE: dict[str, Any] = {
    "type": "form_submitted",
    "source": "web",
    "id": ["id"],
    "occurred_at": {"column": "at", "format": "%Y"},
    "identities": [{"type": "email", "column": "email"}],
}


def test_the_old_spelling_of_department_is_taken_with_a_warning() -> None:
    expected = EventRule.model_validate(_RULE | {"department": "sales"})
    with pytest.warns(FutureWarning, match="write `department:`"):
        assert EventRule.model_validate(_RULE | {"owner": "sales"}) == expected
