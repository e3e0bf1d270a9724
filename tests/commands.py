"""Commands as a user runs them: processes, with an environment and nothing on standard input."""

import asyncio
import os
import sys
from collections.abc import Mapping
from typing import NamedTuple


class Done(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str


async def command(environment: Mapping[str, str], *arguments: str) -> Done:
    """Run `tandem` with these arguments. No command may end with a traceback."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from cli.main import main; main()", *arguments),
        env=os.environ | environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert b"Traceback" not in err, err.decode()
    return Done(process.returncode or 0, out.decode(), err.decode())
