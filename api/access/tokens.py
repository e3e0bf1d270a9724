"""Tokens of people and systems: JWTs of one issuer, checked against the keys that it publishes (OpenID Connect)."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import httpx
import jwt
import orjson

from schemas.errors import TandemError
from streams.loopback import is_trusted_url

#: Algorithms that are allowed, and the type of key of each. Whoever knows a public key must not be able to sign.
ALGORITHMS = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}
LEEWAY = 30  #: seconds that clocks may differ
_MAX_BYTES = 8_192  #: of a token
_MAX_SUBJECT = 255
_REFETCH_SECONDS = 60.0  #: pause after the keys were fetched, however many unknown ones are named
_RETRY_SECONDS = 5.0  #: pause after they could not be fetched
_FRESH_SECONDS = 600.0  #: then a key that the issuer took back is forgotten
_FETCH_SECONDS = 5.0  #: that fetching may take

_FAULTS = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)


class InvalidToken(TandemError):
    """The token is not of this issuer, not for this API, or not valid now.

    Get a new token; the API's log has the reason.
    """


class IssuerUnreachable(TandemError):
    """The issuer's keys cannot be fetched, so the token cannot be checked.

    Try again; check TANDEM_OIDC_ISSUER or TANDEM_OIDC_JWKS.
    """


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """Whose tokens are taken."""

    issuer: str
    audience: str
    jwks: str | None = None  #: URL or file of its keys; None where the issuer says where they are
    roles_claim: str = "roles"


class Person(NamedTuple):
    """Whom a token is of."""

    subject: str
    roles: frozenset[str]
    expires_at: float  #: seconds since 1970 UTC


class Tokens:
    """Reads tokens. Keeps the issuer's keys, and fetches them again where a token names another one."""

    def __init__(self, settings: OidcSettings, clock: Callable[[], float] = monotonic) -> None:
        self._settings, self._clock = settings, clock
        self._keys: dict[tuple[str, str], jwt.PyJWK] = {}
        self._next = self._stale = 0.0
        self._failed = False
        self._fetching = asyncio.Lock()

    async def read(self, token: str) -> Person:
        """Whom a token is of. Raises InvalidToken or IssuerUnreachable."""
        if len(token) > _MAX_BYTES:
            raise InvalidToken("it is too large")
        try:
            header = jwt.get_unverified_header(token)
        except _FAULTS as error:
            raise InvalidToken(f"it is not a token ({type(error).__name__})") from error
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS or not isinstance(kid, str):
            raise InvalidToken("it names no key, or an algorithm that is not allowed")
        return self._person(self._claims(token, algorithm, await self._key(kid, algorithm)))

    def _claims(self, token: str, algorithm: str, key: jwt.PyJWK) -> dict[str, Any]:
        try:
            return jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=LEEWAY,
                options={"require": ["exp", "iss", "aud", "sub"], "enforce_minimum_key_length": True},
            )
        except _FAULTS as error:
            raise InvalidToken(f"it is not valid ({type(error).__name__})") from error

    def _person(self, claims: dict[str, Any]) -> Person:
        subject, roles = claims["sub"], claims.get(self._settings.roles_claim)
        if not (0 < len(subject) <= _MAX_SUBJECT and subject.isprintable()):
            raise InvalidToken("its subject cannot be recorded")
        if isinstance(roles, str):
            roles = roles.split()
        named = [role for role in roles if isinstance(role, str)] if isinstance(roles, list) else []
        return Person(subject, frozenset(named), float(claims["exp"]))

    async def _key(self, kid: str, algorithm: str) -> jwt.PyJWK:
        if (kid, algorithm) not in self._keys or (self._clock() >= self._stale and not self._fetching.locked()):
            async with self._fetching:
                known = (kid, algorithm) in self._keys and self._clock() < self._stale
                if not known and self._clock() >= self._next:
                    await self._fetch()
        key = self._keys.get((kid, algorithm))
        if key is None and self._failed:
            raise IssuerUnreachable("the issuer's keys could not be fetched")
        if key is None:
            raise InvalidToken("the issuer has no such key")
        return key

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(_FETCH_SECONDS):
                self._keys = _prepared(await self._published())
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, KeyError, TypeError, AttributeError):
            self._failed, self._next = True, self._clock() + _RETRY_SECONDS
        else:
            now = self._clock()
            self._failed, self._next, self._stale = False, now + _REFETCH_SECONDS, now + _FRESH_SECONDS

    async def _published(self) -> list[dict[str, Any]]:
        place = self._settings.jwks
        if place is not None and "://" not in place:
            text = await asyncio.to_thread(Path(place).read_bytes)
            return list(orjson.loads(text)["keys"])
        async with httpx.AsyncClient(timeout=_FETCH_SECONDS) as client:
            if place is None:
                about = await _get(client, f"{self._settings.issuer.rstrip('/')}/.well-known/openid-configuration")
                if about["issuer"] != self._settings.issuer:
                    raise ValueError("another issuer answers")
                place = str(about["jwks_uri"])
            return list((await _get(client, place))["keys"])


async def _get(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    if not is_trusted_url(url):
        raise ValueError("keys are taken by https only")
    document: dict[str, Any] = orjson.loads((await client.get(url)).raise_for_status().content)
    return document


def _prepared(published: list[dict[str, Any]]) -> dict[tuple[str, str], jwt.PyJWK]:
    """(key id, algorithm) -> key, of the keys that tokens may be signed with."""
    keys = {}
    for one in published:
        for algorithm, kind in ALGORITHMS.items():
            fits = one.get("kty") == kind and one.get("alg", algorithm) == algorithm and one.get("use", "sig") == "sig"
            if fits and isinstance(one.get("kid"), str):
                try:
                    keys[one["kid"], algorithm] = jwt.PyJWK(one, algorithm=algorithm)
                except _FAULTS:
                    continue  # one that we cannot use costs the others nothing
    return keys
