"""Makes tandem/_sync from tandem/_async: the same client for code without an event loop.

Usage: python sdk/unasync.py [OUTPUT_FOLDER]
"""

import re
import subprocess
import sys
from pathlib import Path

_SOURCE = Path(__file__).with_name("tandem") / "_async"
_TARGET = _SOURCE.with_name("_sync")

#: In this order: longer names first.
_REPLACED = (
    (r"\bAsyncGenerator\[(.+), None\]", r"Generator[\1, None, None]"),
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\bimport asyncio\b", "import time"),
    (r"\basyncio\.sleep\b", "time.sleep"),
    (r"\bfor asyncio\b", "for code without an event loop"),
    (r"\btandem\._async\b", "tandem._sync"),
    (r"\bAsync([A-Z]\w+)", r"\1"),
    (r"\b__a(enter|exit|iter)__\b", r"__\1__"),
    (r"\ba(closing|close|read|iter_bytes|iter_lines)\b", r"\1"),
)


def without_async(source: str) -> str:
    """The source of a module without async; its imports are not sorted yet, its lines not broken anew."""
    for pattern, replacement in _REPLACED:
        source = re.sub(pattern, replacement, source)
    return f"# Made from tandem/_async by sdk/unasync.py: do not edit.\n{source}"


def _formatted(source: str, name: str) -> str:
    for command in (["check", "--quiet", "--fix", "--select", "I"], ["format", "--quiet"]):
        ruff = [sys.executable, "-m", "ruff", *command, f"--stdin-filename={_TARGET / name}", "-"]
        source = subprocess.run(ruff, input=source, text=True, encoding="utf-8", check=True, stdout=-1).stdout
    return source


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else _TARGET
    for path in sorted(_SOURCE.glob("[!_]*.py")):
        (target / path.name).write_text(_formatted(without_async(path.read_text("utf-8")), path.name), "utf-8")
