"""The answer to what-if as people read it: in a terminal, and as a page with plots for the joint meeting."""

from collections.abc import Iterable
from html import escape
from typing import Any

from rich.console import RenderableType
from rich.markup import escape as plain
from rich.table import Table
from rich.text import Text

from cli.render.money import amounts

_WIDTH, _ROW = 560, 26  #: of a plot, in pixels


def what_if_tables(answer: dict[str, Any]) -> list[RenderableType]:
    """Who would move, and the funnel before and after."""
    parts: list[RenderableType] = [
        Text.from_markup(
            f"with this playbook in force from {answer['since'][:16]}, as of {answer['at'][:16]}: "
            f"[bold]{answer['changed']:,}[/bold] of {answer['journeys']:,} journeys would be in another stage"
        )
    ]
    parts += [_moves(answer["moves"])] if answer["moves"] else []
    parts += [_handoffs(answer["handoffs"])] if answer["handoffs"] else []
    parts.append(_funnel(answer["funnel"]))
    return parts + (_channels(answer["credit"]) if answer["credit"] else [])


def _moves(moves: list[dict[str, Any]]) -> Table:
    table = Table("from", "to", "journeys", "such as", box=None)
    for move in moves:
        table.add_row(move["stage_from"], move["stage_to"], f"{move['journeys']:,}", move["examples"][0])
    return table


def _handoffs(handoffs: list[dict[str, Any]]) -> Table:
    table = Table("hand-off", "what", "would appear", "would vanish", box=None)
    for one in handoffs:
        what = one["what"] if one["what"] == "offered" else f"{one['what']} deadline missed"
        table.add_row(one["kind"], what, f"{one['appear']:,}", f"{one['vanish']:,}")
    return table


def _funnel(funnel: dict[str, Any]) -> Table:
    table = Table("stage", box=None)
    for name in ("reached", "then", "in it", "then"):
        table.add_column(name, justify="right")
    for stage, *counts in _stages(funnel):
        table.add_row(stage, *("-" if count is None else f"{count:,}" for count in counts))
    return table


def _channels(credit: dict[str, Any]) -> list[RenderableType]:
    table = Table("channel", "now", "then", box=None)
    for one in credit["channels"]:
        name = "(none)" if one["channel"] is None else plain(one["channel"])
        table.add_row(name, amounts(one["now"]), amounts(one["then"]))
    return [Text(f"credit by {credit['model']['now']}, then by {credit['model']['then']}"), table]


def _stages(funnel: dict[str, Any]) -> list[tuple[str, int | None, int | None, int, int]]:
    """(stage, reached now, reached then, in it now, in it then); None beside the main line."""
    sides = [funnel["now"], funnel["then"]]
    names = dict.fromkeys(stage["stage"] for side in (sides[1], sides[0]) for stage in side["stages"])
    lines = [{stage["stage"]: stage for stage in side["stages"]} for side in sides]
    rows: list[tuple[str, int | None, int | None, int, int]] = []
    for name in names:
        one, other = (line.get(name, {}) for line in lines)
        rows.append((name, one.get("reached"), other.get("reached"), one.get("now", 0), other.get("now", 0)))
    for name in sides[1]["beside"]:
        if name not in names:
            rows.append((name, None, None, sides[0]["beside"].get(name, 0), sides[1]["beside"][name]))
    return rows


def what_if_page(answer: dict[str, Any], name: str) -> str:
    """A page that needs nothing else: for the joint meeting."""
    stages = _stages(answer["funnel"])
    reached = [(stage, now, then) for stage, now, then, _, _ in stages if now is not None or then is not None]
    within = [(stage, now, then) for stage, _, _, now, then in stages]
    moves = "".join(
        f"<tr><td>{escape(one['stage_from'])}</td><td>{escape(one['stage_to'])}</td>"
        f"<td class=n>{one['journeys']:,}</td></tr>"
        for one in answer["moves"]
    )
    handoffs = "".join(
        f"<tr><td>{escape(one['kind'])}</td><td>{escape(one['what'])}</td>"
        f"<td class=n>{one['appear']:,}</td><td class=n>{one['vanish']:,}</td></tr>"
        for one in answer["handoffs"]
    )
    credit = _credit(answer["credit"]) if answer["credit"] else "<p>Credit stays as it is.</p>"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>What if: {escape(name)}</title><style>{_STYLE}</style></head><body>
<h1>What if: {escape(name)}</h1>
<p>With this playbook in force from {escape(answer["since"][:16])} UTC, as of {escape(answer["at"][:16])} UTC:
<strong>{answer["changed"]:,}</strong> of {answer["journeys"]:,} journeys would be in another stage.</p>
<p class=key><span class=now></span> as it is <span class=then></span> with this playbook</p>
<h2>Journeys that reached a stage</h2>{_bars(reached)}
<h2>Journeys in a stage</h2>{_bars(within)}
<h2>Who would move</h2>
<table><tr><th>from</th><th>to</th><th class=n>journeys</th></tr>{moves or "<tr><td colspan=3>nobody</td></tr>"}</table>
<h2>Hand-offs, and deadlines missed</h2>
<table><tr><th>kind</th><th>what</th><th class=n>appear</th><th class=n>vanish</th></tr>
{handoffs or "<tr><td colspan=4>as they are</td></tr>"}</table>
<h2>Credit</h2>{credit}
</body></html>
"""


def _bars(rows: Iterable[tuple[str, int | None, int | None]]) -> str:
    """Two bars a row, as it is and as it would be."""
    rows = list(rows)
    most = max((count or 0 for _, *counts in rows for count in counts), default=0) or 1
    parts = []
    for n, (name, now, then) in enumerate(rows):
        y = n * (_ROW + 14)
        parts.append(f'<text x="0" y="{y + 18}">{escape(name)}</text>')
        for kind, count, offset in (("now", now, 0), ("then", then, _ROW // 2)):
            width = round((count or 0) / most * (_WIDTH - 240))
            parts.append(f'<rect class={kind} x="150" y="{y + offset}" width="{width}" height="{_ROW // 2 - 1}"/>')
            label = "-" if count is None else f"{count:,}"
            parts.append(f'<text class=small x="{156 + width}" y="{y + offset + 10}">{label}</text>')
    height = len(rows) * (_ROW + 14)
    return f'<svg viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" role="img">{"".join(parts)}</svg>'


def _credit(credit: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{escape(one['channel'] or '(none)')}</td><td class=n>{escape(amounts(one['now']))}</td>"
        f"<td class=n>{escape(amounts(one['then']))}</td></tr>"
        for one in credit["channels"]
    )
    model = credit["model"]
    head = f"<tr><th>channel</th><th class=n>{escape(model['now'])}</th><th class=n>{escape(model['then'])}</th></tr>"
    return f"<table>{head}{rows}</table>"


_STYLE = """
:root{color-scheme:light dark;--now:#8a94a6;--then:#2563eb}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h2{margin-top:2rem;font-size:1.1rem}svg{max-width:100%;height:auto}svg text{fill:currentColor;font-size:13px}
svg .small{font-size:11px}rect.now,.key .now{fill:var(--now);background:var(--now)}
rect.then,.key .then{fill:var(--then);background:var(--then)}.key span{display:inline-block;width:1em;height:.7em}
table{border-collapse:collapse}td,th{padding:.2rem .8rem .2rem 0;text-align:left}.n{text-align:right}
@media print{body{margin:0}}
"""
