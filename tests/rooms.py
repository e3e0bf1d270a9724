"""The map of the house, drawn from its imports: `python -m tests.rooms` prints it, `--write` puts it on its page.

Every import counts: those inside functions and those for the type checker, too.
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "ARCHITECTURE.md"
BEGIN, END = "<!-- rooms:begin -->", "<!-- rooms:end -->"
#: Rooms in the order in which data flows, by import name.
ROOMS = ("tandem", "schemas", "projections", "store", "streams", "audit", "api", "cli", "deploy")

Arrows = Mapping[str, frozenset[str]]  #: who imports whom


class Module(NamedTuple):
    """A file of the product."""

    name: str  #: as it is imported: projections.journey.row
    file: Path
    tree: ast.Module
    lines: int
    generated: bool  #: whether a program wrote it: its first line says so


def modules() -> dict[str, Module]:
    """All modules of the product by name."""
    return {module.name: module for room in ROOMS for module in _modules(room)}


def _modules(room: str) -> Iterator[Module]:
    folder = _folder(room)
    for file in sorted(folder.rglob("*.py")):
        parts = file.relative_to(folder.parent).with_suffix("").parts
        text = file.read_text("utf-8")
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        yield Module(name, file, ast.parse(text), text.count("\n"), "do not edit" in text.partition("\n")[0])


def _folder(room: str) -> Path:
    return ROOT / ("sdk/tandem" if room == "tandem" else room)


def imports(house: Mapping[str, Module]) -> Arrows:
    """Each module, and the modules of the house that it imports."""
    return {name: frozenset(_imported(module, house)) - {name} for name, module in house.items()}


def _imported(module: Module, house: Mapping[str, Module]) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in house)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None, f"{module.file}: import by the full name"
            assert not node.level, f"{module.file}: import by the full name"
            wholes = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (name for whole in wholes if (name := whole if whole in house else node.module) in house)


def between(arrows: Arrows, group: Mapping[str, str]) -> Arrows:
    """The arrows between groups of modules; `group` names the group of each module that counts."""
    drawn: dict[str, set[str]] = {name: set() for name in group.values()}
    for name, targets in arrows.items():
        if name in group:
            drawn[group[name]] |= {group[target] for target in targets if target in group} - {group[name]}
    return {name: frozenset(targets) for name, targets in drawn.items()}


def rooms_of(arrows: Arrows) -> Arrows:
    """The arrows between the rooms."""
    return between(arrows, {name: name.partition(".")[0] for name in arrows})


def boxes_of(arrows: Arrows, room: str) -> Arrows:
    """The arrows between the boxes of one room: its sub-packages, and the modules beside them."""
    return between(arrows, {name: box_of(name) for name in arrows if name.startswith(f"{room}.")})


def packages_of(arrows: Arrows, room: str) -> Arrows:
    """The arrows between the sub-packages of one room."""
    packages = {box_of(name) for name in arrows if name.startswith(f"{room}.") and name.count(".") > 1}
    return between(arrows, {name: box_of(name) for name in arrows if box_of(name) in packages})


def inside(arrows: Arrows, package: str) -> Arrows:
    """The arrows between the modules of a package."""
    return between(arrows, {name: name for name in arrows if name.startswith(f"{package}.")})


def box_of(name: str) -> str:
    """The sub-package that a module lies in, or itself where it lies in none."""
    return ".".join(name.split(".")[:2])


def reach(arrows: Arrows) -> Arrows:
    """Each name, and all that it imports, directly or through others."""
    found = {}
    for name in arrows:
        seen: set[str] = set()
        waiting = list(arrows[name])
        while waiting:
            if (target := waiting.pop()) not in seen:
                seen.add(target)
                waiting += arrows.get(target, ())
        found[name] = frozenset(seen)
    return found


def circles(arrows: Arrows) -> list[list[str]]:
    """Groups of names each of which imports all the others, directly or through others."""
    reached = reach(arrows)
    found = {frozenset(other for other in reached[name] if name in reached[other]) for name in arrows}
    return sorted(sorted(circle) for circle in found if circle)


def floors(arrows: Arrows) -> list[list[str]]:
    """Names by the longest chain of imports below them, the lowest floor first; those in a circle share one."""
    reached = reach(arrows)
    heights: dict[str, int] = {}

    def height(name: str) -> int:
        if name not in heights:
            below = (target for target in reached[name] if name not in reached[target])
            heights[name] = 1 + max(map(height, below), default=-1)
        return heights[name]

    for name in arrows:
        height(name)
    return [sorted(name for name in heights if heights[name] == floor) for floor in range(max(heights.values()) + 1)]


def longest_chain(arrows: Arrows) -> list[str]:
    """One of the longest chains of imports, from the importer down."""
    levels = floors(arrows)
    chain = levels[-1][:1]
    for level in reversed(levels[:-1]):
        chain.append(next(name for name in level if name in reach(arrows)[chain[-1]]))
    return chain


def mermaid(arrows: Arrows) -> str:
    """The picture: rooms, their sub-packages, and arrows; an arrow that follows from others is left out."""
    lines = ["```mermaid", "flowchart TB"]
    for room in ROOMS:
        packages = packages_of(arrows, room)
        if packages:
            lines += [f"  subgraph {room}", *(f"    {line}" for line in _drawn(packages)), "  end"]
        else:
            lines.append(f"  {room}[{_folder(room).relative_to(ROOT).parts[0]}]")
    lines += [f"  {one} --> {other}" for one, other in _needed(rooms_of(arrows))]
    return "\n".join([*lines, "```"])


def _drawn(packages: Arrows) -> list[str]:
    ids = {name: name.replace(".", "_") for name in packages}
    nodes = [f"{ids[name]}[{name.partition('.')[2]}]" for name in sorted(packages)]
    return nodes + [f"{ids[one]} --> {ids[other]}" for one, other in _needed(packages)]


def _needed(arrows: Arrows) -> list[tuple[str, str]]:
    """The arrows that do not follow from others."""
    reached = reach(arrows)
    return [
        (name, target)
        for name in sorted(arrows)
        for target in sorted(arrows[name])
        if not any(target in reached[other] for other in arrows[name] - {target})
    ]


def drawn() -> str:
    """The picture as it is on the page. Raises ValueError where the page has no place for it."""
    text = PAGE.read_text("utf-8")
    return text[text.index(BEGIN) + len(BEGIN) : text.index(END)].strip()


def write() -> None:
    """Put the picture on the page."""
    text, picture = PAGE.read_text("utf-8"), mermaid(imports(modules()))
    head, tail = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    PAGE.write_text(f"{head}\n{picture}\n{tail}", "utf-8")


def _report() -> Iterator[str]:
    house = modules()
    arrows = imports(house)
    yield "rooms, from the ground floor up, and what each imports"
    yield from _levels(rooms_of(arrows))
    for room in ROOMS:
        if packages_of(arrows, room):
            inner = boxes_of(arrows, room)
            count = sum(map(len, inner.values()))
            yield f"\n{room}: {len(inner)} boxes, {len(floors(inner))} floors, {count} arrows"
            yield from _levels(inner)
    sizes = sorted((module.lines, module.name) for module in house.values() if not module.generated)
    yield f"\n{len(arrows)} modules, {sum(map(len, arrows.values()))} arrows"
    size, longest = sizes[-1]
    yield f"lines, generated modules apart: median {median(size for size, _ in sizes):.0f}, longest {size} ({longest})"
    yield from (f"circle: {' '.join(circle)}" for circle in circles(arrows))
    boxes = longest_chain(boxes_of(arrows, "projections"))
    yield f"longest chain inside projections: {len(boxes)} boxes: {' -> '.join(boxes)}"
    chain = longest_chain(inside(arrows, "projections"))
    yield f"module by module: {len(chain)}: {' -> '.join(chain)}"


def _levels(arrows: Arrows) -> Iterator[str]:
    for number, level in enumerate(floors(arrows)):
        yield from (f"  {number}  {name:24} {' '.join(sorted(arrows[name]))}".rstrip() for name in level)


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        write()
    else:
        print("\n".join(_report()))
