"""`tandem keys`, `tandem reads`, and what is said about access when the API starts."""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from api.access.caller import AccessSettings
from api.access.tokens import OidcSettings
from api.app import create_app
from cli.errors import UserError
from cli.settings import access_settings
from deploy.embedded.process import free_port
from store.reads import Read, write_reads
from tests.api.tokens import AUDIENCE, ISSUER, publish, token
from tests.support import served

ROOT = Path(__file__).parents[2]
_KEY = re.compile(r"tdm_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")
_OIDC = {"TANDEM_OIDC_ISSUER": ISSUER, "TANDEM_OIDC_AUDIENCE": AUDIENCE}


def tandem(*arguments: str | bytes, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the command; no broker answers."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TANDEM_")}
    return subprocess.run(
        [sys.executable, "-c", "from cli.main import main; main()", *arguments],
        env={**clean, "TANDEM_KAFKA": "127.0.0.1:1", **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


async def test_a_key_is_made_listed_rotated_and_revoked(database_url: str) -> None:
    def keys(*arguments: str | bytes) -> "subprocess.CompletedProcess[str]":
        return tandem("keys", *arguments, TANDEM_DATABASE_URL=database_url)

    def listed() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(keys("list", "--json").stdout)
        return found

    made = keys("create", "--department", "sales", "--source", "crm", "--name", "CRM", "--expires-days", "9")
    key = _KEY.fullmatch(made.stdout.strip())
    assert key, made.stderr
    [entry] = listed()
    assert (entry["key_id"], entry["department"], entry["sources"], entry["name"]) == (key[1], "sales", ["crm"], "CRM")
    assert key[0] not in keys("list").stdout
    following = _KEY.fullmatch(keys("rotate", key[1], "--overlap-hours", "1").stdout.strip())
    assert following
    old, new = listed()
    assert old["expires_at"] < new["expires_at"]
    assert {name: new[name] for name in ("department", "sources", "name")} == {
        name: old[name] for name in ("department", "sources", "name")
    }
    assert keys("revoke", key[1]).returncode == 0
    assert listed()[0]["revoked_at"]
    whole, again = keys("revoke", following[0]), keys("revoke", following[0])
    assert whole.stdout == f"revoked {following[1]}\n"
    assert again.stderr.startswith(f"tandem: there is no key {following[1]}")
    secret = following[0].split("_", 2)[2]
    for said in (whole, again, keys("rotate", secret), keys("rotate", following[0][:-1])):
        assert secret[:-1] not in said.stdout + said.stderr
    for wrong in (("revoke", key[1]), ("rotate", key[1]), ("rotate", "nonsense")):
        done = keys(*wrong)
        assert done.returncode == 1
        assert done.stderr.startswith("tandem: there is no key"), done.stderr
    unfit: list[tuple[str | bytes, ...]] = [("--name", ""), ("--name", b"\xff"), ("--name", "x", "--source", "y" * 300)]
    for arguments in unfit:
        done = keys("create", "--department", "sales", *arguments)
        assert done.returncode == 1
        assert done.stderr.startswith("tandem: --"), done.stderr


def test_keys_are_those_of_the_data_dir(tmp_path: Path) -> None:
    stack = {"kafka": "127.0.0.1:1", "database_url": "postgresql://nobody@127.0.0.1:1/none"}
    (tmp_path / "stack.json").write_text(json.dumps(stack))
    create = ("create", "--department", "sales", "--name", "CRM")
    for command in (create, ("list",), ("rotate", "0" * 12), ("revoke", "0" * 12)):
        done = tandem("keys", *command, "--data-dir", str(tmp_path), XDG_STATE_HOME=str(tmp_path / "state"))
        assert done.returncode == 1
        assert "no stack" not in done.stderr
        assert "Traceback" not in done.stderr


async def test_reads_are_listed_with_an_auditor_s_token(database_url: str, tmp_path: Path) -> None:
    access = AccessSettings(OidcSettings(ISSUER, AUDIENCE, publish(tmp_path / "jwks.json")))
    app, port = create_app(database_url=database_url, kafka=None, access=access), free_port()
    address = f"http://127.0.0.1:{port}"
    async with served(app, port):
        pool = app.state.context.access.reads._pool
        await write_reads(pool, [Read("rosa", "sales", "GET /v1/journeys", "{}", [UUID(int=1)])])
        (tmp_path / "token").write_text(token("auditor"))
        known = {"TANDEM_API": address, "TANDEM_TOKEN_FILE": str(tmp_path / "token")}
        found = await asyncio.to_thread(tandem, "reads", "--reader", "rosa", "--json", **known)
        assert [read["endpoint"] for read in json.loads(found.stdout)] == ["GET /v1/journeys"]
        refused = await asyncio.to_thread(tandem, "reads", TANDEM_API=address, TANDEM_TOKEN=token("sales"))
        assert refused.returncode == 1
        assert "may not" in refused.stderr
        nobody = await asyncio.to_thread(tandem, "reads", TANDEM_API=address)
        assert "TANDEM_TOKEN" in nobody.stderr


def test_others_are_let_in_only_with_access_on() -> None:
    done = tandem("serve", "--host", "0.0.0.0", TANDEM_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")  # noqa: S104
    assert done.returncode == 1
    assert "TANDEM_ACCESS=on" in done.stderr.splitlines()[-1]
    on = tandem("serve", TANDEM_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert "access is off" in on.stderr
    keys = tandem("serve", TANDEM_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none", TANDEM_ACCESS="on")
    assert "API keys only" in keys.stderr


def test_access_is_off_unless_it_is_on() -> None:
    assert access_settings({}) is None
    assert access_settings({"TANDEM_ACCESS": ""}) is None
    assert access_settings({"TANDEM_ACCESS": "on"}) == AccessSettings()
    found = access_settings({"TANDEM_ACCESS": "on", **_OIDC, "TANDEM_OIDC_JWKS": "keys.json"})
    assert found == AccessSettings(OidcSettings(ISSUER, AUDIENCE, "keys.json", "roles"))


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"TANDEM_ACCESS": "true"}, "on or off"),
        ({"TANDEM_ACCESS": "on", "TANDEM_OIDC_ISSUER": ISSUER}, "TANDEM_OIDC_AUDIENCE"),
        ({"TANDEM_ACCESS": "on", **_OIDC, "TANDEM_OIDC_ISSUER": "http://issuer.example"}, "https"),
        ({"TANDEM_ACCESS": "on", **_OIDC, "TANDEM_OIDC_JWKS": "http://issuer.example/keys"}, "https"),
    ],
)
def test_settings_that_are_none(environment: dict[str, str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        access_settings(environment)
