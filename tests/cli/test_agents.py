"""Settings of agents: what cannot work is said at the start, and where the page is."""

import json
from pathlib import Path

import pytest

from cli.client import ApiUnreachable
from cli.commands.funnel import funnel
from cli.errors import UserError
from cli.settings import agent_settings, agents_url


def stages(folder: Path, text: str) -> tuple[str, ...]:
    """The alert stages that the environment asks for."""
    return agent_settings(folder, {"TANDEM_KAFKA": "localhost:1", "TANDEM_ALERT_STAGES": text}).alert_stages


def test_alert_stages_are_the_playbook_s(tmp_path: Path) -> None:
    assert stages(tmp_path, "customer, at-risk") == ("customer", "at-risk")
    assert stages(tmp_path, "") == ("opportunity", "at-risk")
    with pytest.raises(UserError, match=r"no stage is named 'foo'.* has .*opportunity"):
        stages(tmp_path, "customer,foo")
    with pytest.raises(UserError, match="names no stage"):
        stages(tmp_path, ",")


def test_the_environment_says_where_the_agents_page_is(tmp_path: Path) -> None:
    assert agents_url(tmp_path, {}) == "http://127.0.0.1:8766"
    (tmp_path / "stack.json").write_text(json.dumps({"agents": "http://127.0.0.1:1234"}))
    assert agents_url(tmp_path, {}) == "http://127.0.0.1:1234"
    assert agents_url(tmp_path, {"TANDEM_AGENTS_PAGE": "http://localhost:9000/"}) == "http://localhost:9000"


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "127.0.0.1", "http://[broken"])
def test_a_page_that_is_not_there_says_what_to_set(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("TANDEM_AGENTS_PAGE", address)
    with pytest.raises(ApiUnreachable, match="TANDEM_AGENTS_PAGE"):
        funnel(last_hour=True)
