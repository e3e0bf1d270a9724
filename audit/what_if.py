"""What if, over all stored journeys: in a process of its own, at low priority, so that live work goes on undisturbed.

The process is asked with one JSON object on its standard input, and answers in lines of JSON: how far it is, then the
result, or an error.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import msgspec
import orjson

from projections.playbook.model import InvalidPlaybook, Playbook, Rules, compile_rules
from projections.playbook.proposals import agreed_rules, read_proposal
from projections.playbook.strict_yaml import read_model
from projections.what_if import WhatIf, rules_with
from schemas.answers.what_if import WhatIf as WhatIfAnswer
from schemas.answers.what_if import WhatIfError, WhatIfProgress, WhatIfResult
from schemas.errors import TandemError
from store.proposals import read_said
from store.scan import count_journeys, scan_journeys
from store.session import closing, open_connection
from streams.engine.gc_tuning import look_seldom

_JOURNEYS_A_SECOND = 8_000  #: at most: a busy machine takes what time it takes, an idle one is not filled
#: Journeys between two pauses. Most live events meet a pause: many short pauses would slow down all of them a little.
_BURST = 16_000
#: It runs when nobody else wants to; from before it imports anything, which takes the better part of a second.
_SERVE = """
import os
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
from audit.what_if import serve
serve()
"""
_TOLD_EVERY = 5_000  #: journeys


class WhatIfFailed(TandemError):
    """The process that computes it ended without an answer."""


class Question(msgspec.Struct):
    """What is asked. Times are microseconds since 1970 UTC."""

    database_url: str
    first: str  #: YAML of the playbook that the projection began with
    candidate: str  #: YAML
    since: int  #: from when on the candidate would hold
    at: int  #: the time that is seen
    now: int


Tell = Callable[[int, int], None]


async def what_if(question: Question, tell: Tell) -> WhatIfAnswer:
    """The answer. Raises InvalidPlaybook, DatabaseUnreachable."""
    first = compile_rules(read_model(question.first, Playbook, "playbook", InvalidPlaybook))
    candidate = read_proposal(question.candidate, first.playbook)
    async with closing(await open_connection(question.database_url)) as connection:
        rules = agreed_rules(first, await read_said(connection))
        return await _over_all(connection, rules, candidate, question, tell)


async def _over_all(connection: Any, rules: Rules, candidate: Playbook, question: Question, tell: Tell) -> WhatIfAnswer:
    found = WhatIf(rules, rules_with(rules, candidate, question.since, question.now), question.since, question.at)
    total, done = await count_journeys(connection), 0
    burst, began = _BURST, time.monotonic()
    async with aclosing(scan_journeys(connection)) as pages:
        async for page in pages:
            for journey_id, last_seen, state in page:
                found.add(journey_id, last_seen, state)
            done += len(page)
            if done >= burst:
                # the database that reads for it has its full priority, so it asks for less than it could take
                await asyncio.sleep(began + _BURST / _JOURNEYS_A_SECOND - time.monotonic())
                burst, began = done + _BURST, time.monotonic()
            if done % _TOLD_EVERY < len(page):
                tell(done, max(total, done))
    return found.view()


async def ask(question: Question) -> AsyncGenerator[WhatIfProgress | WhatIfResult, None]:
    """Ask a process of its own: tells how far it is from time to time, then the result. Raises WhatIfFailed."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _SERVE, stdin=pipe, stdout=pipe, env=environment, limit=16 * 1024 * 1024
    )
    assert process.stdin is not None, "the process has a pipe"
    assert process.stdout is not None, "the process has a pipe"
    try:
        process.stdin.write(msgspec.json.encode(question))
        process.stdin.write_eof()
        last: WhatIfProgress | WhatIfResult | None = None
        async for text in process.stdout:
            last = _read_line(text)
            yield last
        if not isinstance(last, WhatIfResult):
            raise WhatIfFailed("the process that computes it has ended: ask again")
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _read_line(text: bytes) -> WhatIfProgress | WhatIfResult:
    """Raises WhatIfFailed where it is an error."""
    line = orjson.loads(text)
    if "error" in line:
        raise WhatIfFailed(line["error"])
    return msgspec.convert(line, WhatIfResult) if "result" in line else msgspec.convert(line, WhatIfProgress)


def serve() -> None:
    """Answer the one question on standard input."""
    look_seldom()
    question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    try:
        result = asyncio.run(what_if(question, lambda done, total: _say(WhatIfProgress(done=done, total=total))))
    except TandemError as error:
        _say(WhatIfError(error=str(error)))
    else:
        _say(WhatIfResult(result=result))


def _say(line: WhatIfProgress | WhatIfResult | WhatIfError) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()
