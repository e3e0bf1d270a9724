"""Queries and subscriptions: what both departments know of a journey."""

import random
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from tandem import planning
from tandem.answers import checked
from tandem.http import bearer
from tandem.subscription import Jitter, Subscription

Json = dict[str, Any]
_LONG = 120.0  #: seconds; for answers that all journeys are read for
_VERY_LONG = 600.0  #: seconds; between two lines of such an answer


def _named(type_: str, value: str) -> str:
    return quote(f"{type_}:{value}", safe=":@")


def _journey_path(type_: str, value: str) -> str:
    return f"/v1/journeys/{_named(type_, value)}"


def _person_path(type_: str, value: str) -> str:
    return f"/v1/identity/persons/{_named(type_, value)}"


def _ruling(ruling: str, identifiers: list[str]) -> Json:
    return {"ruling": ruling, "identifiers": identifiers}


def _given(**parameters: Any) -> Json:
    return {name: value for name, value in parameters.items() if value is not None}


class AsyncClient:
    """Reads from the API at `base_url`. Answers are the API's JSON objects; docs/reference/api.md describes them.

    `token` is the OpenID Connect token to ask with. `jitter` (from 0 to 1) spreads the moments at which subscriptions
    that were cut off together come back.
    """

    def __init__(
        self, base_url: str, *, token: str | None = None, timeout: float = 10.0, jitter: Jitter = random.random
    ) -> None:
        self._jitter = jitter
        self._client = httpx.AsyncClient(base_url=base_url, timeout=timeout, headers=bearer(token))

    async def journey(self, type_: str, value: str, *, at: str | None = None, known_at: str | None = None) -> Json:
        """The journey that an identifier finds; `at` and `known_at` (RFC 3339) look back. Raises NotFound."""
        return checked(await self._client.get(_journey_path(type_, value), params=_given(at=at, known_at=known_at)))

    async def diff(self, type_: str, value: str, start: str, end: str | None = None, *, axis: str = "true") -> Json:
        """What changed in a journey between two times (RFC 3339; `end` is now, without), and which events did it.

        `axis`: "true" for what was true then, "known" for what Tandem knew then. Raises NotFound.
        """
        parameters = _given(**{"from": start, "to": end, "axis": axis})
        return checked(await self._client.get(f"/v1/diff/{_named(type_, value)}", params=parameters))

    async def explain_journey(self, type_: str, value: str, stage: str | None = None) -> Json:
        """Why a journey is in its stages, or in one: events, rules, playbook. Raises NotFound."""
        return checked(await self._client.get(f"/v1/explain/{_named(type_, value)}", params=_given(stage=stage)))

    async def journeys(self, **filters: Any) -> AsyncIterator[Json]:
        """All journeys that fit stage=, account=, channel=, owner=, changed_since=; pages are turned as needed.

        projection=: of a projection beside the live one, such as one of the past.
        """
        async for item in self._pages("/v1/journeys", **filters):
            yield item

    async def funnel(self, by: str | None = None, *, projection: str | None = None) -> Json:
        """The funnel; `by` is "channel" or "campaign". `projection`: of one beside the live one."""
        return checked(await self._client.get("/v1/funnel", params=_given(by=by, projection=projection)))

    async def attribution(self, model: str | None = None, by: str = "channel") -> Json:
        """Credit for what was booked; `by` is "channel" or "campaign", `model` the playbook's if none is named."""
        parameters = _given(model=model, by=by)
        return checked(await self._client.get("/v1/attribution", params=parameters, timeout=_LONG))

    async def account(self, name: str) -> Json:
        """What an account's journeys add up to. Raises NotFound."""
        return checked(await self._client.get(f"/v1/accounts/{quote(name, safe='')}"))

    async def identity(self, type_: str, value: str, *, at: str | None = None, known_at: str | None = None) -> Json:
        """Who an identifier is; `at` and `known_at` (RFC 3339) look back. Raises NotFound."""
        return checked(await self._client.get(_person_path(type_, value), params=_given(at=at, known_at=known_at)))

    async def explain_identity(self, a: str, b: str) -> Json:
        """Why two identifiers (type:value) are one person, or why not."""
        return checked(await self._client.get("/v1/identity/explain", params={"a": a, "b": b}))

    async def identity_conflicts(self) -> AsyncIterator[Json]:
        """Links that were refused."""
        async for item in self._pages("/v1/identity/conflicts"):
            yield item

    async def quarantine(self) -> AsyncIterator[Json]:
        """Identifiers in quarantine."""
        async for item in self._pages("/v1/identity/quarantine"):
            yield item

    async def victims(self, identifier: str) -> AsyncIterator[Json]:
        """Whom events linked to an identifier (type:value) in quarantine."""
        async for item in self._pages("/v1/identity/victims", identifier=identifier):
            yield item

    async def reads(self, **filters: Any) -> AsyncIterator[Json]:
        """Who has read personal data, the newest first; person= (type:value), reader=, since=. For auditors."""
        async for item in self._pages("/v1/reads", **filters):
            yield item

    async def preview_ruling(self, ruling: str, identifiers: list[str]) -> Json:
        """What a ruling (join, split, release) on identifiers (type:value) would move."""
        return checked(await self._client.post("/v1/identity/preview", json=_ruling(ruling, identifiers)))

    async def rule(
        self,
        ruling: str,
        identifiers: list[str],
        *,
        reason: str | None = None,
        by: str | None = None,
        confirm: bool = False,
    ) -> Json:
        """Publish a ruling. Raises ConfirmationNeeded where it moves more than may be moved unasked."""
        body = _ruling(ruling, identifiers) | _given(reason=reason, by=by) | {"confirm": confirm}
        return checked(await self._client.post("/v1/identity/rulings", json=body))

    async def handoffs(self, **filters: Any) -> AsyncIterator[Json]:
        """Hand-offs that wait for somebody, the most overdue first; team=, kind=, overdue=True."""
        async for item in self._pages("/v1/handoffs", **filters):
            yield item

    async def handoff_report(self) -> Json:
        """How hand-offs went, by kind and tier: deadlines met and missed by now."""
        return checked(await self._client.get("/v1/handoffs/report"))

    async def handoff(self, handoff: str) -> Json:
        """One hand-off, with all that happened to it. Raises NotFound."""
        return checked(await self._client.get(f"/v1/handoffs/{quote(handoff, safe='')}"))

    async def decide_handoff(
        self,
        handoff: str,
        decision: str,
        *,
        department: str | None = None,
        reason: str | None = None,
        by: str | None = None,
    ) -> Json:
        """Decide accept, reject or withdraw. Raises ApiError (409) where it would not count."""
        body = {"decision": decision} | _given(department=department, reason=reason, by=by)
        return checked(await self._client.post(f"/v1/handoffs/{quote(handoff, safe='')}/decisions", json=body))

    async def audiences(self) -> Json:
        """The playbook's audiences, and how many are in each."""
        return checked(await self._client.get("/v1/audiences"))

    async def audience(self, name: str) -> AsyncIterator[Json]:
        """Who is in an audience: journeys in short, with identifiers and consent. Raises NotFound."""
        async for item in self._pages(f"/v1/audiences/{quote(name, safe='')}"):
            yield item

    async def playbook(self, at: str | None = None) -> Json:
        """The playbook in force, now or at a time (RFC 3339), with its text."""
        return checked(await self._client.get(planning.PLAYBOOK, params=_given(at=at)))

    async def proposals(self) -> Json:
        """All proposals with what was said of them, and words about proposals that there are none of."""
        return checked(await self._client.get(planning.PROPOSALS))

    async def proposal(self, proposal: str) -> Json:
        """One proposal, with its text. Raises NotFound."""
        return checked(await self._client.get(planning.proposal_path(proposal)))

    async def propose_playbook(
        self,
        playbook: str,
        *,
        department: str | None = None,
        effective_at: str | None = None,
        comment: str | None = None,
        by: str | None = None,
    ) -> Json:
        """Propose a playbook, in YAML. Raises ApiError with line and column where it cannot be one."""
        body = _given(playbook=playbook, department=department, effective_at=effective_at, comment=comment, by=by)
        return checked(await self._client.post(planning.PROPOSALS, json=body))

    async def decide_playbook(
        self,
        proposal: str,
        decision: str,
        *,
        department: str | None = None,
        digest: str | None = None,
        text: str | None = None,
        by: str | None = None,
    ) -> Json:
        """Say approve, reject or comment of a proposal. Raises ApiError (409) where it would not count."""
        body = {"decision": decision} | _given(department=department, digest=digest, text=text, by=by)
        return checked(await self._client.post(planning.decisions_path(proposal), json=body))

    async def what_if(
        self, playbook: str, *, since: str | None = None, at: str | None = None, tell: planning.Progress | None = None
    ) -> Json:
        """What a playbook, in YAML, would do to all journeys; `tell` hears how far it is."""
        body, lines = {"playbook": playbook} | _given(since=since, at=at), planning.Lines(tell)
        async with self._client.stream("POST", planning.WHAT_IF, json=body, timeout=_VERY_LONG) as answer:
            if not answer.is_success:
                await answer.aread()
                checked(answer)
            async for line in answer.aiter_lines():
                lines.take(line)
        return lines.result()

    def subscribe(
        self,
        *,
        cursor: str | None = None,
        snapshot: bool = False,
        department: str | None = None,
        stage: str | None = None,
        journey: str | None = None,
        account: str | None = None,
        kind: str | None = None,
    ) -> Subscription:
        """Changes without end, for `async for`: on from a cursor; else from now on, with `snapshot` all journeys first.

        All filters given must fit (docs/reference/api.md). Lost connections are resumed: each change comes once.
        """
        filters = _given(department=department, stage=stage, journey=journey, account=account, kind=kind)
        return Subscription(self._client, filters, cursor, snapshot, self._jitter)

    async def _pages(self, path: str, **parameters: Any) -> AsyncIterator[Json]:
        cursor: str | None = None
        while True:
            page = checked(await self._client.get(path, params=_given(cursor=cursor, limit=200, **parameters)))
            for item in page["items"]:
                yield item
            cursor = page["next_cursor"]
            if cursor is None:
                return

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

    def __init__(self, base_url: str, *, token: str | None = None, timeout: float = 10.0) -> None:
        """`token`: the OpenID Connect token to ask with."""
        self._client = httpx.Client(base_url=base_url, timeout=timeout, headers=bearer(token))

    def journey(self, type_: str, value: str, *, at: str | None = None, known_at: str | None = None) -> Json:
        """The journey that an identifier finds; `at` and `known_at` (RFC 3339) look back. Raises NotFound."""
        return checked(self._client.get(_journey_path(type_, value), params=_given(at=at, known_at=known_at)))

    def diff(self, type_: str, value: str, start: str, end: str | None = None, *, axis: str = "true") -> Json:
        """What changed in a journey between two times (RFC 3339; `end` is now, without), and which events did it.

        `axis`: "true" for what was true then, "known" for what Tandem knew then. Raises NotFound.
        """
        parameters = _given(**{"from": start, "to": end, "axis": axis})
        return checked(self._client.get(f"/v1/diff/{_named(type_, value)}", params=parameters))

    def explain_journey(self, type_: str, value: str, stage: str | None = None) -> Json:
        """Why a journey is in its stages, or in one: events, rules, playbook. Raises NotFound."""
        return checked(self._client.get(f"/v1/explain/{_named(type_, value)}", params=_given(stage=stage)))

    def journeys(self, **filters: Any) -> Iterator[Json]:
        """All journeys that fit stage=, account=, channel=, owner=, changed_since=; pages are turned as needed.

        projection=: of a projection beside the live one, such as one of the past.
        """
        yield from self._pages("/v1/journeys", **filters)

    def funnel(self, by: str | None = None, *, projection: str | None = None) -> Json:
        """The funnel; `by` is "channel" or "campaign". `projection`: of one beside the live one."""
        return checked(self._client.get("/v1/funnel", params=_given(by=by, projection=projection)))

    def attribution(self, model: str | None = None, by: str = "channel") -> Json:
        """Credit for what was booked; `by` is "channel" or "campaign", `model` the playbook's if none is named."""
        return checked(self._client.get("/v1/attribution", params=_given(model=model, by=by), timeout=_LONG))

    def account(self, name: str) -> Json:
        """What an account's journeys add up to. Raises NotFound."""
        return checked(self._client.get(f"/v1/accounts/{quote(name, safe='')}"))

    def dead_letters(self, reason: str | None = None) -> Iterator[Json]:
        """Records that could not be applied, and why."""
        yield from self._pages("/v1/dead-letters", reason=reason)

    def dead_letter(self, topic: str, partition: int, offset: int) -> bytes:
        """A dead letter's original bytes. Raises NotFound."""
        answer = self._client.get(f"/v1/dead-letters/{quote(topic, safe='')}/{partition}/{offset}")
        if not answer.is_success:
            checked(answer)
        return answer.content

    def identity(self, type_: str, value: str, *, at: str | None = None, known_at: str | None = None) -> Json:
        """Who an identifier is; `at` and `known_at` (RFC 3339) look back. Raises NotFound."""
        return checked(self._client.get(_person_path(type_, value), params=_given(at=at, known_at=known_at)))

    def explain_identity(self, a: str, b: str) -> Json:
        """Why two identifiers (type:value) are one person, or why not."""
        return checked(self._client.get("/v1/identity/explain", params={"a": a, "b": b}))

    def identity_conflicts(self) -> Iterator[Json]:
        """Links that were refused."""
        yield from self._pages("/v1/identity/conflicts")

    def quarantine(self) -> Iterator[Json]:
        """Identifiers in quarantine."""
        yield from self._pages("/v1/identity/quarantine")

    def victims(self, identifier: str) -> Iterator[Json]:
        """Whom events linked to an identifier (type:value) in quarantine."""
        yield from self._pages("/v1/identity/victims", identifier=identifier)

    def reads(self, **filters: Any) -> Iterator[Json]:
        """Who has read personal data, the newest first; person= (type:value), reader=, since=. For auditors."""
        yield from self._pages("/v1/reads", **filters)

    def preview_ruling(self, ruling: str, identifiers: list[str]) -> Json:
        """What a ruling (join, split, release) on identifiers (type:value) would move."""
        return checked(self._client.post("/v1/identity/preview", json=_ruling(ruling, identifiers)))

    def rule(
        self,
        ruling: str,
        identifiers: list[str],
        *,
        reason: str | None = None,
        by: str | None = None,
        confirm: bool = False,
    ) -> Json:
        """Publish a ruling. Raises ConfirmationNeeded where it moves more than may be moved unasked."""
        body = _ruling(ruling, identifiers) | _given(reason=reason, by=by) | {"confirm": confirm}
        return checked(self._client.post("/v1/identity/rulings", json=body))

    def handoffs(self, **filters: Any) -> Iterator[Json]:
        """Hand-offs that wait for somebody, the most overdue first; team=, kind=, overdue=True."""
        yield from self._pages("/v1/handoffs", **filters)

    def handoff_report(self) -> Json:
        """How hand-offs went, by kind and tier: deadlines met and missed by now."""
        return checked(self._client.get("/v1/handoffs/report"))

    def handoff(self, handoff: str) -> Json:
        """One hand-off, with all that happened to it. Raises NotFound."""
        return checked(self._client.get(f"/v1/handoffs/{quote(handoff, safe='')}"))

    def decide_handoff(
        self,
        handoff: str,
        decision: str,
        *,
        department: str | None = None,
        reason: str | None = None,
        by: str | None = None,
    ) -> Json:
        """Decide accept, reject or withdraw. Raises ApiError (409) where it would not count."""
        body = {"decision": decision} | _given(department=department, reason=reason, by=by)
        return checked(self._client.post(f"/v1/handoffs/{quote(handoff, safe='')}/decisions", json=body))

    def audiences(self) -> Json:
        """The playbook's audiences, and how many are in each."""
        return checked(self._client.get("/v1/audiences"))

    def audience(self, name: str) -> Iterator[Json]:
        """Who is in an audience: journeys in short, with identifiers and consent. Raises NotFound."""
        yield from self._pages(f"/v1/audiences/{quote(name, safe='')}")

    def playbook(self, at: str | None = None) -> Json:
        """The playbook in force, now or at a time (RFC 3339), with its text."""
        return checked(self._client.get(planning.PLAYBOOK, params=_given(at=at)))

    def proposals(self) -> Json:
        """All proposals with what was said of them, and words about proposals that there are none of."""
        return checked(self._client.get(planning.PROPOSALS))

    def proposal(self, proposal: str) -> Json:
        """One proposal, with its text. Raises NotFound."""
        return checked(self._client.get(planning.proposal_path(proposal)))

    def propose_playbook(
        self,
        playbook: str,
        *,
        department: str | None = None,
        effective_at: str | None = None,
        comment: str | None = None,
        by: str | None = None,
    ) -> Json:
        """Propose a playbook, in YAML. Raises ApiError with line and column where it cannot be one."""
        body = _given(playbook=playbook, department=department, effective_at=effective_at, comment=comment, by=by)
        return checked(self._client.post(planning.PROPOSALS, json=body))

    def decide_playbook(
        self,
        proposal: str,
        decision: str,
        *,
        department: str | None = None,
        digest: str | None = None,
        text: str | None = None,
        by: str | None = None,
    ) -> Json:
        """Say approve, reject or comment of a proposal. Raises ApiError (409) where it would not count."""
        body = {"decision": decision} | _given(department=department, digest=digest, text=text, by=by)
        return checked(self._client.post(planning.decisions_path(proposal), json=body))

    def what_if(
        self, playbook: str, *, since: str | None = None, at: str | None = None, tell: planning.Progress | None = None
    ) -> Json:
        """What a playbook, in YAML, would do to all journeys; `tell` hears how far it is."""
        body, lines = {"playbook": playbook} | _given(since=since, at=at), planning.Lines(tell)
        with self._client.stream("POST", planning.WHAT_IF, json=body, timeout=_VERY_LONG) as answer:
            if not answer.is_success:
                answer.read()
                checked(answer)
            for line in answer.iter_lines():
                lines.take(line)
        return lines.result()

    def _pages(self, path: str, **parameters: Any) -> Iterator[Json]:
        cursor: str | None = None
        while True:
            page = checked(self._client.get(path, params=_given(cursor=cursor, limit=200, **parameters)))
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def close(self) -> None:
        """Disconnect."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
