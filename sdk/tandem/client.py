"""Queries: what both departments know of a journey."""

from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from tandem.errors import ApiError, NotFound

Json = dict[str, Any]


def _checked(answer: httpx.Response) -> Json:
    if answer.is_success:
        found: Json = answer.json()
        return found
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    kind = NotFound if answer.status_code == httpx.codes.NOT_FOUND else ApiError
    raise kind(answer.status_code, problem.get("title", "Error"), problem.get("detail", answer.text[:200]))


def _journey_path(type_: str, value: str) -> str:
    return f"/v1/journeys/{quote(f'{type_}:{value}', safe=':@')}"


def _given(**parameters: Any) -> Json:
    return {name: value for name, value in parameters.items() if value is not None}


class AsyncClient:
    """Reads from the API at `base_url`. Answers are the API's JSON objects; docs/api.md describes them."""

    def __init__(self, base_url: str, *, timeout: float = 10.0) -> None:
        self._client = httpx.AsyncClient(base_url=base_url, timeout=timeout)

    async def journey(self, type_: str, value: str) -> Json:
        """The journey that an identifier finds. Raises NotFound."""
        return _checked(await self._client.get(_journey_path(type_, value)))

    async def journeys(self, **filters: Any) -> AsyncIterator[Json]:
        """All journeys that fit stage=, account=, channel=, owner=, changed_since=; pages are turned as needed."""
        cursor: str | None = None
        while True:
            page = _checked(await self._client.get("/v1/journeys", params=_given(cursor=cursor, limit=200, **filters)))
            for item in page["items"]:
                yield item
            cursor = page["next_cursor"]
            if cursor is None:
                return

    async def funnel(self, by: str | None = None) -> Json:
        """The funnel; `by` is "channel" or "campaign"."""
        return _checked(await self._client.get("/v1/funnel", params=_given(by=by)))

    async def account(self, name: str) -> Json:
        """What an account's journeys add up to. Raises NotFound."""
        return _checked(await self._client.get(f"/v1/accounts/{quote(name, safe='')}"))

    async def close(self) -> None:
        """Disconnect."""
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class Client:
    """The same for code without an event loop."""

    def __init__(self, base_url: str, *, timeout: float = 10.0) -> None:
        self._client = httpx.Client(base_url=base_url, timeout=timeout)

    def journey(self, type_: str, value: str) -> Json:
        """The journey that an identifier finds. Raises NotFound."""
        return _checked(self._client.get(_journey_path(type_, value)))

    def journeys(self, **filters: Any) -> Iterator[Json]:
        """All journeys that fit stage=, account=, channel=, owner=, changed_since=; pages are turned as needed."""
        cursor: str | None = None
        while True:
            page = _checked(self._client.get("/v1/journeys", params=_given(cursor=cursor, limit=200, **filters)))
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def funnel(self, by: str | None = None) -> Json:
        """The funnel; `by` is "channel" or "campaign"."""
        return _checked(self._client.get("/v1/funnel", params=_given(by=by)))

    def account(self, name: str) -> Json:
        """What an account's journeys add up to. Raises NotFound."""
        return _checked(self._client.get(f"/v1/accounts/{quote(name, safe='')}"))

    def dead_letters(self, reason: str | None = None) -> Iterator[Json]:
        """Records that could not be applied, and why."""
        cursor: str | None = None
        while True:
            parameters = _given(reason=reason, cursor=cursor, limit=200)
            page = _checked(self._client.get("/v1/dead-letters", params=parameters))
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def dead_letter(self, topic: str, partition: int, offset: int) -> bytes:
        """A dead letter's original bytes. Raises NotFound."""
        answer = self._client.get(f"/v1/dead-letters/{quote(topic, safe='')}/{partition}/{offset}")
        if not answer.is_success:
            _checked(answer)
        return answer.content

    def close(self) -> None:
        """Disconnect."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
