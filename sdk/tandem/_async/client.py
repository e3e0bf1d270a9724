"""The client: asks Tandem's API about journeys, people, hand-offs and the playbook, and subscribes to changes."""

import random
from collections.abc import AsyncIterator, Iterable, Mapping
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote

import httpx

from tandem import answers
from tandem._async.subscription import AsyncSubscription
from tandem.feed import Jitter
from tandem.identifiers import Identifier, path_of, text_of
from tandem.responses import Page, answer_of, bearer, check, decoded, given
from tandem.terms import (
    AttributionModel,
    Axis,
    ChangeKind,
    Department,
    GroupBy,
    HandoffDecision,
    PlaybookDecision,
    Ruling,
)
from tandem.what_if import Lines, Progress

_T = TypeVar("_T")

_PAGE = 200  #: items of a page
_LONG = 120.0  #: seconds; for answers that all journeys are read for
_VERY_LONG = 600.0  #: seconds; between two lines of such an answer


class AsyncClient:
    """Asks the API at `base_url`. Times are RFC 3339 text with an offset: "2026-03-01T00:00:00Z".

    `token` is the OpenID Connect token to ask with, `timeout` in seconds. `jitter` (from 0 to 1) spreads the moments at
    which subscriptions that were cut off together come back.

    Every call raises ApiError for what the API refuses, NotFound among them, and httpx.TransportError if no API
    answers. Lists turn pages as needed.
    """

    def __init__(
        self, base_url: str, *, token: str | None = None, timeout: float = 10.0, jitter: Jitter = random.random
    ) -> None:
        self._jitter = jitter
        self._client = httpx.AsyncClient(base_url=base_url, timeout=timeout, headers=bearer(token))

    async def journey(
        self, identifier: Identifier, *, at: str | None = None, known_at: str | None = None
    ) -> answers.Journey:
        """The journey of whoever an identifier names; `at` and `known_at` look back. Raises NotFound."""
        return await self._get(f"/v1/journeys/{path_of(identifier)}", answers.Journey, {"at": at, "known_at": known_at})

    def journeys(
        self,
        *,
        stage: str | None = None,
        account: str | None = None,
        channel: str | None = None,
        owner: str | None = None,
        changed_since: str | None = None,
        projection: str | None = None,
    ) -> AsyncIterator[answers.JourneySummary]:
        """All journeys that fit; `owner` is the person who owns the lead.

        `projection`: of a projection beside the live one, such as one of the past.
        """
        filters = {"stage": stage, "account": account, "channel": channel, "owner": owner}
        more = {"changed_since": changed_since, "projection": projection}
        return self._pages("/v1/journeys", answers.JourneySummary, filters | more)

    async def diff(
        self, identifier: Identifier, start: str, end: str | None = None, *, axis: Axis = "true"
    ) -> answers.Diff:
        """What changed in a journey between two times (`end` is now, if not given), and which events did it.

        `axis`: "true" for what was true then, "known" for what Tandem knew then. Raises NotFound.
        """
        times = {"from": start, "to": end, "axis": axis}
        return await self._get(f"/v1/diff/{path_of(identifier)}", answers.Diff, times)

    async def explain_journey(self, identifier: Identifier, *, stage: str | None = None) -> answers.JourneyExplanation:
        """Why a journey is in its stages, or in one: events, rules, playbook. Raises NotFound."""
        return await self._get(f"/v1/explain/{path_of(identifier)}", answers.JourneyExplanation, {"stage": stage})

    async def funnel(self, by: GroupBy | None = None, *, projection: str | None = None) -> answers.Funnel:
        """How many journeys reached each stage, in all or by channel or campaign.

        `projection`: of a projection beside the live one.
        """
        return await self._get("/v1/funnel", answers.Funnel, {"by": by, "projection": projection})

    async def attribution(self, model: AttributionModel | None = None, by: GroupBy = "channel") -> answers.Attribution:
        """Which channels or campaigns have credit for what was booked; the playbook's model if none is given."""
        return await self._get("/v1/attribution", answers.Attribution, {"model": model, "by": by}, timeout=_LONG)

    async def account(self, name: str) -> answers.Account:
        """What an account's journeys add up to. Raises NotFound."""
        return await self._get(f"/v1/accounts/{quote(name, safe='')}", answers.Account)

    def dead_letters(self, *, reason: str | None = None) -> AsyncIterator[answers.DeadLetter]:
        """Records that could not be applied, and why."""
        return self._pages("/v1/dead-letters", answers.DeadLetter, {"reason": reason})

    async def dead_letter(self, topic: str, partition: int, offset: int) -> bytes:
        """A dead letter's original bytes. Raises NotFound."""
        response = await self._client.get(f"/v1/dead-letters/{quote(topic, safe='')}/{partition}/{offset}")
        check(response)
        return response.content

    async def identity(
        self, identifier: Identifier, *, at: str | None = None, known_at: str | None = None
    ) -> answers.Person:
        """Who an identifier is: all names of this person; `at` and `known_at` look back. Raises NotFound."""
        path = f"/v1/identity/persons/{path_of(identifier)}"
        return await self._get(path, answers.Person, {"at": at, "known_at": known_at})

    async def explain_identity(self, a: Identifier, b: Identifier) -> answers.IdentityExplanation:
        """Why two identifiers are one person, or why not."""
        return await self._get("/v1/identity/explain", answers.IdentityExplanation, {"a": text_of(a), "b": text_of(b)})

    def identity_conflicts(self) -> AsyncIterator[answers.Conflict]:
        """Links between identifiers that were refused."""
        return self._pages("/v1/identity/conflicts", answers.Conflict, {})

    def quarantine(self) -> AsyncIterator[answers.QuarantinedIdentifier]:
        """Identifiers in quarantine: too many others are linked to them."""
        return self._pages("/v1/identity/quarantine", answers.QuarantinedIdentifier, {})

    def victims(self, identifier: Identifier) -> AsyncIterator[answers.Victim]:
        """Whom events linked to an identifier in quarantine."""
        return self._pages("/v1/identity/victims", answers.Victim, {"identifier": text_of(identifier)})

    def reads(
        self, *, person: Identifier | None = None, reader: str | None = None, since: str | None = None
    ) -> AsyncIterator[answers.Read]:
        """Who has read personal data, the newest first; for auditors.

        `person`: only reads of this person's data. `reader`: only reads by this user or system.
        """
        filters = {"person": None if person is None else text_of(person), "reader": reader, "since": since}
        return self._pages("/v1/reads", answers.Read, filters)

    async def preview_ruling(self, ruling: Ruling, identifiers: Iterable[Identifier]) -> answers.RulingPreview:
        """What a ruling would move: join (these are one person), split (they are not), release (of somebody else)."""
        return await self._post("/v1/identity/preview", answers.RulingPreview, _ruling(ruling, identifiers))

    async def rule(
        self,
        ruling: Ruling,
        identifiers: Iterable[Identifier],
        *,
        reason: str | None = None,
        by: str | None = None,
        confirm: bool = False,
    ) -> answers.RulingPublished:
        """Publish a ruling; `by` is the person who rules. `preview_ruling` says what it would move.

        Raises ConfirmationNeeded if it moves more than the playbook lets a ruling move without `confirm`.
        """
        body = _ruling(ruling, identifiers) | {"reason": reason, "by": by, "confirm": confirm}
        return await self._post("/v1/identity/rulings", answers.RulingPublished, body)

    def handoffs(
        self, *, team: str | None = None, kind: str | None = None, overdue: bool | None = None
    ) -> AsyncIterator[answers.HandoffItem]:
        """Hand-offs that wait for somebody, the most overdue first; with `overdue`, only those past their deadline."""
        return self._pages("/v1/handoffs", answers.HandoffItem, {"team": team, "kind": kind, "overdue": overdue})

    async def handoff_report(self) -> answers.HandoffReport:
        """How hand-offs went, by kind and tier: deadlines met and missed by now."""
        return await self._get("/v1/handoffs/report", answers.HandoffReport)

    async def handoff(self, handoff: str) -> answers.HandoffDetails:
        """One hand-off by its id, with all that happened to it. Raises NotFound."""
        return await self._get(f"/v1/handoffs/{quote(handoff, safe='')}", answers.HandoffDetails)

    async def decide_handoff(
        self,
        handoff: str,
        decision: HandoffDecision,
        *,
        department: Department | None = None,
        reason: str | None = None,
        by: str | None = None,
    ) -> answers.HandoffDecided:
        """Accept, reject or withdraw a hand-off; `by` is the person who decides. A rejection needs a reason.

        `department` and `by` may be left out if the token says them. Raises ApiError (409) if it would not count.
        """
        body = {"decision": decision, "department": department, "reason": reason, "by": by}
        return await self._post(f"/v1/handoffs/{quote(handoff, safe='')}/decisions", answers.HandoffDecided, body)

    async def audiences(self) -> answers.AudienceList:
        """The playbook's audiences, and how many journeys are in each."""
        return await self._get("/v1/audiences", answers.AudienceList)

    def audience(self, name: str) -> AsyncIterator[answers.FeedJourney]:
        """Who is in an audience: journeys in short, with identifiers and consent. Raises NotFound."""
        return self._pages(f"/v1/audiences/{quote(name, safe='')}", answers.FeedJourney, {})

    async def playbook(self, *, at: str | None = None) -> answers.PlaybookInForce:
        """The playbook in force, now or at a time, with its text."""
        return await self._get("/v1/playbook", answers.PlaybookInForce, {"at": at})

    async def proposals(self) -> answers.ProposalList:
        """All proposals with what was said of them, and decisions that name no known proposal."""
        return await self._get("/v1/playbook/proposals", answers.ProposalList)

    async def proposal(self, proposal: str) -> answers.Proposal:
        """One proposal by its id, with its text. Raises NotFound."""
        return await self._get(f"/v1/playbook/proposals/{quote(proposal, safe='')}", answers.Proposal)

    async def propose_playbook(
        self,
        playbook: str,
        *,
        department: Department | None = None,
        effective_at: str | None = None,
        comment: str | None = None,
        by: str | None = None,
    ) -> answers.ProposalPublished:
        """Propose a playbook, in YAML. Raises ApiError with line and column if it is not valid.

        It holds from `effective_at` on, or at once, when both departments have approved it.
        """
        body = {"playbook": playbook, "department": department, "effective_at": effective_at}
        return await self._post(
            "/v1/playbook/proposals", answers.ProposalPublished, body | {"comment": comment, "by": by}
        )

    async def decide_playbook(
        self,
        proposal: str,
        decision: PlaybookDecision,
        *,
        department: Department | None = None,
        digest: str | None = None,
        text: str | None = None,
        by: str | None = None,
    ) -> answers.ProposalPublished:
        """Approve or reject a proposal, or comment on it: `text` is the reason or the comment.

        `digest`: of the text that is approved. Raises ApiError (409) if it would not count.
        """
        body = {"decision": decision, "department": department, "digest": digest, "text": text, "by": by}
        return await self._post(
            f"/v1/playbook/proposals/{quote(proposal, safe='')}/decisions", answers.ProposalPublished, body
        )

    async def what_if(
        self, playbook: str, *, since: str | None = None, at: str | None = None, tell: Progress | None = None
    ) -> answers.WhatIf:
        """What a playbook, in YAML, would do to all journeys. Nothing is published, nothing changes.

        `since`: as if it were in force from then on. `tell` is called with (done, total) from time to time.
        """
        body, lines = given({"playbook": playbook, "since": since, "at": at}), Lines(tell)
        async with self._client.stream("POST", "/v1/playbook/what-if", json=body, timeout=_VERY_LONG) as response:
            if not response.is_success:
                await response.aread()
                check(response)
            async for line in response.aiter_lines():
                lines.take(line)
        return lines.result()

    def subscribe(
        self,
        *,
        cursor: str | None = None,
        snapshot: bool = False,
        department: Department | None = None,
        stage: str | None = None,
        journey: Identifier | None = None,
        account: str | None = None,
        kind: ChangeKind | None = None,
    ) -> AsyncSubscription:
        """Changes without end, to iterate over: on from a `cursor`, or from now; with `snapshot`, all journeys first.

        A change must fit all filters that are given. Every cut is mended: each change comes once.
        """
        named = None if journey is None else text_of(journey)
        filters = {"department": department, "stage": stage, "journey": named, "account": account, "kind": kind}
        return AsyncSubscription(self._client, given(filters), cursor, snapshot, self._jitter)

    async def close(self) -> None:
        """Disconnect."""
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _get(
        self, path: str, answer: type[_T], parameters: Mapping[str, object] | None = None, timeout: float | None = None
    ) -> _T:
        limit = httpx.USE_CLIENT_DEFAULT if timeout is None else timeout
        return answer_of(await self._client.get(path, params=given(parameters or {}), timeout=limit), answer)

    async def _post(self, path: str, answer: type[_T], body: Mapping[str, object]) -> _T:
        return answer_of(await self._client.post(path, json=given(body)), answer)

    async def _pages(self, path: str, item: type[_T], filters: Mapping[str, object]) -> AsyncIterator[_T]:
        cursor: str | int | None = None
        while True:
            page = await self._get(path, Page, {**filters, "cursor": cursor, "limit": _PAGE})
            for encoded in page.items:
                yield decoded(encoded, item)
            cursor = page.next_cursor
            if cursor is None:
                return


def _ruling(ruling: Ruling, identifiers: Iterable[Identifier]) -> dict[str, object]:
    return {"ruling": ruling, "identifiers": [text_of(one) for one in identifiers]}
