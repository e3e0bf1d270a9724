"""Who asks, through which window, and the record that personal data was read."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from fastapi import Request

from api.access.keys import PREFIX, InvalidKey, KeyRing, KeysUnknown
from api.access.policy import KEY, ROLES, window_for
from api.access.read_log import ReadLog
from api.access.tokens import LEEWAY, InvalidToken, IssuerUnreachable, OidcSettings, Tokens
from projections.playbook.windows import EVERYTHING, Window, shared
from store.keys import LiveKey
from store.reads import Read


class Refused(Exception):
    """A request that is not answered. `why` is for the log: the answer is the same for every reason."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(f"{status}: {why}")
        self.status = status  #: 401: nobody known; 403: somebody who may not; 503: it is not known now
        self.why = why


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """That access is on. Without an issuer, keys alone are taken: systems can write, and nobody can read."""

    oidc: OidcSettings | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """The open parts of access."""

    keys: KeyRing
    tokens: Tokens | None
    reads: ReadLog
    windows: Callable[[], dict[str, Window]]  #: by department, as the playbook in force has them


class Caller(NamedTuple):
    """Who asks."""

    name: str  #: the token's subject, or the key's id
    roles: frozenset[str]
    window: Window
    key: LiveKey | None = None
    until: float | None = None  #: when the credentials end, in seconds since 1970 UTC; then streams end, too


async def identify(access: Access, headers: Iterable[tuple[bytes, bytes]]) -> Caller:
    """Who a request's only Authorization header names. Raises Refused with 401, or 503."""
    given = [value for name, value in headers if name == b"authorization"]
    if len(given) != 1:
        raise Refused(401, "no credentials" if not given else "several Authorization headers")
    scheme, _, credentials = given[0].decode("latin-1").partition(" ")
    if scheme.lower() != "bearer":
        raise Refused(401, "another scheme than Bearer")
    try:
        if credentials.startswith(PREFIX):
            key = await access.keys.find(credentials)
            return Caller(key.key_id, frozenset({KEY}), shared(access.windows().values()), key)
        if access.tokens is None:
            raise Refused(401, "a token, and no issuer is set")
        person = await access.tokens.read(credentials)
    except (InvalidKey, InvalidToken) as error:
        raise Refused(401, f"{'key' if isinstance(error, InvalidKey) else 'token'}: {error}") from error
    except (KeysUnknown, IssuerUnreachable) as error:
        raise Refused(503, str(error)) from error
    roles = person.roles & ROLES
    if not roles:
        raise Refused(403, "the token gives no role of ours")
    return Caller(person.subject, roles, window_for(roles, access.windows()), until=person.expires_at + LEEWAY)


def caller_of(request: Request) -> Caller | None:
    """Who asks; None while access is off."""
    caller: Caller | None = getattr(request.state, "caller", None)
    return caller


def window_of(request: Request) -> Window:
    """What the caller may see. While access is off: everything."""
    caller = caller_of(request)
    return EVERYTHING if caller is None else caller.window


def refuse_hidden(request: Request, *fields: str) -> None:
    """Raises Refused where one of the fields is hidden from the caller: to ask by it would tell what it is."""
    hidden = window_of(request).hidden.intersection(fields)
    if hidden:
        raise Refused(403, f"asks by what is hidden: {', '.join(sorted(hidden))}")


async def record(request: Request, journeys: Iterable[UUID | str] = (), asked: dict[str, Any] | None = None) -> None:
    """Record that the answer to a request holds personal data: of which journeys, and what was asked for.

    Returns once the record is durable; the answer must not leave before. `asked` stands beside the parameters of path
    and query. Without effect while access is off: then there is nobody to name. Raises Refused (503).
    """
    caller = caller_of(request)
    if caller is None:
        return
    parameters = {**request.query_params, **request.path_params, **(asked or {})}
    text = orjson.dumps(parameters).decode().replace("\\u0000", "")
    ids = [UUID(str(one)) for one in dict.fromkeys(journeys)]
    reads: ReadLog = request.app.state.context.access.reads
    if not await reads.write(Read(caller.name, ",".join(sorted(caller.roles)), request.state.endpoint, text, ids)):
        raise Refused(503, "the read could not be recorded")
