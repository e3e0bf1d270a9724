"""`POST /v1/playbook/what-if`: what a playbook would do, before anybody approves it."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated

from fastapi import Body, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from api.access.caller import window_of
from api.context import Context, context_of
from api.http.answers import encode
from api.http.strict_parameters import strict_router
from api.http.times import instant
from audit.what_if import Question, WhatIfFailed, ask
from projections.playbook.model import InvalidPlaybook, to_yaml
from projections.playbook.proposals import read_proposal
from projections.playbook.windows import Window
from projections.text import micros
from schemas.answers.what_if import WhatIfError, WhatIfResult

router = strict_router("/v1/playbook")

_Time = Annotated[str, Field(max_length=40)] | None


class WhatIfRequest(BaseModel):
    """A playbook, from when on it would hold (now, without), and the time that is looked at (the later of both)."""

    model_config = ConfigDict(strict=True, extra="forbid")

    playbook: Annotated[str, Field(max_length=262_144)]
    since: _Time = None
    at: _Time = None


@router.post(
    "/what-if",
    operation_id="ask_what_if",
    summary="Try what a playbook would do to all journeys",
    responses={200: {"description": "Lines of JSON: done and total from time to time, then result, or error"}},
)
async def what_if(request: Request, wanted: Annotated[WhatIfRequest, Body()]) -> Response:
    """Who would be in another stage, and how funnel and credit would move. Nothing is published, nothing changes.

    With `since` in the past: as if it had been in force from then on. With `since` ahead: what will come when it is.
    """
    context = context_of(request)
    try:
        read_proposal(wanted.playbook, context.rules.playbook)
    except InvalidPlaybook as error:
        raise HTTPException(422, str(error)) from error
    now = context.clock()
    since = now if wanted.since is None else _micros(wanted.since, "since")
    at = max(now, since) if wanted.at is None else _micros(wanted.at, "at")
    question = Question(context.database_url, to_yaml(context.rules.playbook), wanted.playbook, since, at, now)
    return StreamingResponse(_lines(context, question, window_of(request)), media_type="application/x-ndjson")


def _micros(text: str, name: str) -> int:
    try:
        return micros(instant(datetime.fromisoformat(text), name))
    except ValueError as error:
        raise HTTPException(422, f"{name}: write a time as in 2026-03-01T00:00:00Z") from error


async def _lines(context: Context, question: Question, window: Window) -> AsyncIterator[bytes]:
    """One question at a time: each reads all journeys."""
    async with context.attributing:
        try:
            async for line in ask(question):
                seen = WhatIfResult(result=window.show(line.result)) if isinstance(line, WhatIfResult) else line
                yield encode(seen) + b"\n"
        except WhatIfFailed as error:
            yield encode(WhatIfError(error=str(error))) + b"\n"
