"""Files with agents: the bundled ones, by name, and your own, by path."""

import importlib.util
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import faust

from schemas.errors import TandemError
from streams.agents.app import Topic
from streams.agents.tandem import Tandem

#: The bundled agents -> their module here.
NAMES = {name: name.replace("-", "_") for name in ("crm", "alerts", "outbound", "funnel-counter")}


class AgentsUnusable(TandemError):
    """A file with agents cannot be used. Correct the file that the message names."""


class AgentsFile(NamedTuple):
    """A file that was imported, and not registered yet."""

    name: str  #: as the user named it
    register: Callable[[faust.App, Tandem], Any]


def load(names: Sequence[str]) -> list[AgentsFile]:
    """Import agents, each named by a file's path or as one of NAMES. Raises AgentsUnusable."""
    files = []
    for name in names:
        module = import_module(f"streams.agents.{NAMES[name]}") if name in NAMES else _import(name)
        register = getattr(module, "register", None)
        if not callable(register):
            raise AgentsUnusable(f"{name} has no function register(app, tandem): see docs/how-to/agents.md")
        files.append(AgentsFile(name, register))
    return files


def register_all(files: Sequence[AgentsFile], app: faust.App, tandem: Tandem) -> None:
    """Have each file declare its agents. Raises AgentsUnusable, and what the bundled agents raise."""
    for file in files:
        before = dict(app.agents)
        try:
            file.register(app, tandem)
        except TandemError:
            raise
        except Exception as error:
            raise AgentsUnusable(f"{file.name} failed in register: {_line(error)}") from error
        for name, agent in app.agents.items():
            if name in before and agent is not before[name]:
                raise AgentsUnusable(f"{file.name} has an agent {name}, as a file before it has: give it another name")
            if not isinstance(agent.channel, Topic):
                raise AgentsUnusable(f"agent {name} of {file.name} reads no topic of tandem's: use tandem.topic(name)")
            if agent.concurrency != 1:
                raise AgentsUnusable(f"agent {name} of {file.name} has concurrency {agent.concurrency}: leave it at 1")
        if app.agents.keys() == before.keys():
            raise AgentsUnusable(f"{file.name} declares no agent in register: put @app.agent(topic) above a function")


def _import(path: str) -> ModuleType:
    if not Path(path).is_file():
        raise AgentsUnusable(
            f"{path} is neither a file nor one of {', '.join(NAMES)}: name one of these, or a Python file"
        )
    spec = importlib.util.spec_from_file_location(f"agents_{Path(path).stem}", path)
    if spec is None or spec.loader is None:
        raise AgentsUnusable(f"{path} is not a Python file: its name must end with .py")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise AgentsUnusable(f"{path} cannot be imported: {_line(error)}") from error
    return module


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
