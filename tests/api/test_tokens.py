"""Tokens: which are taken, and how the issuer's keys are fetched."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from api.access.tokens import InvalidToken, IssuerUnreachable, OidcSettings, Tokens
from deploy.embedded.process import free_port
from tests.api.tokens import AUDIENCE, FOREIGN, ISSUER, RSA, publish, published, token
from tests.support import served


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    """A reader that knows the issuer's keys from a file."""
    return Tokens(OidcSettings(ISSUER, AUDIENCE, publish(tmp_path / "jwks.json")))


@pytest.mark.parametrize(("kid", "algorithm"), [("rsa", "RS256"), ("rsa", "PS256"), ("ec", "ES256"), ("ed", "EdDSA")])
async def test_tokens_of_the_issuer_are_taken(tokens: Tokens, kid: str, algorithm: str) -> None:
    person = await tokens.read(token("sales", "cook", kid=kid, algorithm=algorithm))
    assert (person.subject, person.roles) == ("rosa", frozenset({"sales", "cook"}))


@pytest.mark.parametrize(
    ("roles", "found"), [("sales auditor", {"sales", "auditor"}), (None, set()), ({"sales": 1}, set()), ([1], set())]
)
async def test_roles_are_a_list_or_words(tokens: Tokens, roles: Any, found: set[str]) -> None:
    assert (await tokens.read(token(roles=roles))).roles == found


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def unsigned(algorithm: str) -> str:
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "rosa", "exp": time.time() + 600, "roles": ["auditor"]}
    return f"{part({'alg': algorithm, 'kid': 'rsa'})}.{part(claims)}."


def signed_with_the_public_key() -> str:
    """HS256, the secret being what everybody knows."""
    import hashlib
    import hmac

    text = unsigned("HS256").removesuffix(".")
    public = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    mac = hmac.digest(public, text.encode(), hashlib.sha256)
    return f"{text}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


WRONG: dict[str, Callable[[], str]] = {
    "expired": lambda: token("sales", exp=time.time() - 60),
    "not yet valid": lambda: token("sales", nbf=time.time() + 60),
    "issued in the future": lambda: token("sales", iat=time.time() + 3600),
    "for somebody else": lambda: token("sales", aud="other"),
    "of another issuer": lambda: token("sales", iss="https://evil.example"),
    "without exp": lambda: token("sales", exp=None),
    "without iss": lambda: token("sales", iss=None),
    "without aud": lambda: token("sales", aud=None),
    "without sub": lambda: token("sales", sub=None),
    "of nobody": lambda: token("sales", sub=""),
    "of somebody unprintable": lambda: token("sales", sub="a\0b"),
    "exp is no time": lambda: token("sales", exp="tomorrow"),
    "exp is infinite": lambda: token("sales", exp=float("inf")),
    "alg none": lambda: unsigned("none"),
    "HS256 with the public key": signed_with_the_public_key,
    "ES256 with a foreign key": lambda: token("sales", key=FOREIGN),
    "RS512": lambda: token("sales", kid="rsa", algorithm="RS512"),
    "another type of key": lambda: token("sales", kid="rsa", key=FOREIGN, algorithm="ES256"),
    "unknown kid": lambda: token("sales").replace(token("sales").split(".")[0], part({"alg": "ES256", "kid": "x"})),
    "no kid": lambda: jwt.encode({"sub": "rosa"}, FOREIGN, algorithm="ES256"),
    "kid is no text": lambda: f"{part({'alg': 'ES256', 'kid': 7})}.{part({})}.AA",
    "garbage": lambda: "garbage",
    "dots": lambda: "..",
    "header is no object": lambda: f"{part([])}.{part({})}.AA",
    "header is deep": lambda: f"{base64.urlsafe_b64encode(b'[' * 4000).decode()}.e30.AA",
    "huge": lambda: token("sales", note="x" * 10_000),
    "tampered": lambda: token("sales")[:-6] + "AAAAAA",
}


@pytest.mark.parametrize("name", sorted(WRONG))
async def test_wrong_tokens_are_refused(tokens: Tokens, name: str) -> None:
    with pytest.raises(InvalidToken):
        await tokens.read(WRONG[name]())


class Clock:
    """A clock that tests turn."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


async def test_an_unknown_key_is_looked_for_once_a_minute(tmp_path: Path) -> None:
    clock, file = Clock(), tmp_path / "jwks.json"
    tokens = Tokens(OidcSettings(ISSUER, AUDIENCE, publish(file, "rsa")), clock)
    await tokens.read(token("sales", kid="rsa"))
    publish(file, "ec")
    with pytest.raises(InvalidToken):
        await tokens.read(token("sales", kid="ec"))
    clock.now += 61
    await tokens.read(token("sales", kid="ec"))
    with pytest.raises(InvalidToken):  # the issuer took it back
        await tokens.read(token("sales", kid="rsa"))


async def test_a_key_that_the_issuer_took_back_is_forgotten(tmp_path: Path) -> None:
    clock, file = Clock(), tmp_path / "jwks.json"
    tokens = Tokens(OidcSettings(ISSUER, AUDIENCE, publish(file)), clock)
    await tokens.read(token("sales", kid="rsa"))
    publish(file, "ec")
    await tokens.read(token("sales", kid="rsa"))
    clock.now += 601
    with pytest.raises(InvalidToken):
        await tokens.read(token("sales", kid="rsa"))


async def test_keys_that_cannot_be_fetched_are_no_fault_of_the_token(tmp_path: Path) -> None:
    clock, file = Clock(), tmp_path / "jwks.json"
    tokens = Tokens(OidcSettings(ISSUER, AUDIENCE, str(file)), clock)
    for wrong in (None, "nonsense", "[]", "{}", '{"keys": [1]}'):
        if wrong is not None:
            file.write_text(wrong)
        with pytest.raises(IssuerUnreachable):
            await tokens.read(token("sales"))
        clock.now += 6
    publish(file)
    await tokens.read(token("sales"))
    file.unlink()
    clock.now += 601
    await tokens.read(token("sales"))  # known ones are taken while it cannot be asked


@asynccontextmanager
async def issuer(jwks: Callable[[], Response], claims_to_be: str | None = None) -> AsyncIterator[str]:
    """A server that answers as an issuer does."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"

    async def about(_: Any) -> Response:
        return JSONResponse({"issuer": claims_to_be or address, "jwks_uri": f"{address}/keys"})

    async def keys(_: Any) -> Response:
        return jwks()

    app = Starlette(routes=[Route("/.well-known/openid-configuration", about), Route("/keys", keys)])
    async with served(app, port):
        yield address


async def test_keys_are_found_through_the_issuer() -> None:
    async with issuer(lambda: JSONResponse(published())) as address:
        tokens = Tokens(OidcSettings(address, AUDIENCE))
        assert (await tokens.read(token("sales", iss=address))).roles == {"sales"}
        named = Tokens(OidcSettings(ISSUER, AUDIENCE, f"{address}/keys"))
        await asyncio.gather(*(named.read(token("sales")) for _ in range(5)))
    async with issuer(lambda: JSONResponse(published()), "https://evil.example") as address:
        with pytest.raises(IssuerUnreachable):
            await Tokens(OidcSettings(address, AUDIENCE)).read(token("sales", iss=address))
    async with issuer(lambda: Response(status_code=302, headers={"location": "http://127.0.0.1/x"})) as address:
        with pytest.raises(IssuerUnreachable):
            await Tokens(OidcSettings(address, AUDIENCE)).read(token("sales", iss=address))
    with pytest.raises(IssuerUnreachable):
        await Tokens(OidcSettings("http://issuer.example", AUDIENCE)).read(token("sales"))
