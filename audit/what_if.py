"""What-if over all stored journeys, in a process of its own at low priority, so that live work goes on undisturbed.

The process gets one JSON object on standard input, and answers in lines of JSON: its progress, then the result or an
error.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec
import orjson

from audit.progress import Progress
from projections.playbook.model import InvalidPlaybook, Playbook
from projections.playbook.proposals import agreed_rules, read_proposal
from projections.playbook.rules import Rules, compile_rules
from projections.playbook.strict_yaml import read_model
from projections.what_if import WhatIf, rules_with
from schemas.answers.what_if import WhatIf as WhatIfAnswer
from schemas.answers.what_if import WhatIfError, WhatIfProgress, WhatIfResult
from schemas.errors import TandemError
from store.proposals import read_said
from store.scan import count_journeys, scan_journeys
from store.session import closing, open_connection
from streams.engine.gc_tuning import look_seldom

_JOURNEYS_A_SECOND = 8_000  #: at most, so that even an idle machine is not filled
#: Journeys between two pauses. Most live events meet a pause: many short pauses would slow down all of them a little.
_BURST = 16_000
#: Idle priority from before the imports, which take most of a second.
_SERVE = """
import os
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
from audit.what_if import serve
serve()
"""
_TOLD_EVERY = 5_000  #: journeys


class WhatIfFailed(TandemError):
    """The process that computes a what-if ended without an answer. Try again; the log says why it ended."""


class Question(msgspec.Struct):
    """What is asked. Times are microseconds since 1970 UTC."""

    database_url: str
    first: str  #: YAML of the playbook that the projection began with
    candidate: str  #: YAML
    since: int  #: from when on the candidate would hold
    at: int  #: the time that is seen
    now: int


async def what_if(question: Question, progress: Progress) -> WhatIfAnswer:
    """The answer. Raises InvalidPlaybook, DatabaseUnreachable."""
    first = compile_rules(read_model(question.first, Playbook, "playbook", InvalidPlaybook))
    candidate = read_proposal(question.candidate, first.playbook)
    async with closing(await open_connection(question.database_url)) as connection:
        rules = agreed_rules(first, await read_said(connection))
        return await _over_all(connection, rules, candidate, question, progress)


async def _over_all(
    connection: Any, rules: Rules, candidate: Playbook, question: Question, progress: Progress
) -> WhatIfAnswer:
    comparison = WhatIf(rules, rules_with(rules, candidate, question.since, question.now), question.since, question.at)
    total, done = await count_journeys(connection), 0
    burst, began = _BURST, time.monotonic()
    async with aclosing(scan_journeys(connection)) as pages:
        async for page in pages:
            for journey_id, last_seen, state in page:
                comparison.add(journey_id, last_seen, state)
            done += len(page)
            if done >= burst:
                # the database that reads for it has its full priority, so it asks for less than it could take
                await asyncio.sleep(began + _BURST / _JOURNEYS_A_SECOND - time.monotonic())
                burst, began = done + _BURST, time.monotonic()
            if done % _TOLD_EVERY < len(page):
                progress(done, max(total, done))
    return comparison.view()


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
