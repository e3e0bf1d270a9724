"""The audit report as a page that needs nothing else, for people who are no engineers."""

from collections.abc import Sequence
from html import escape
from typing import Any

import orjson

_WIDTH, _HEIGHT = 760, 150


def report_page(report: dict[str, Any]) -> str:
    """HTML, with plots; the report itself lies in it as JSON, so that its signature can be checked."""
    integrity, again, whole = report["integrity"], report["reproducibility"], report["completeness"]
    data = orjson.dumps(report, option=orjson.OPT_SORT_KEYS).decode().replace("</", "<\\/")
    signed = (
        f"Signed with key {escape(report['key'])}: <code>tandem audit check</code> takes this page."
        if "signature" in report
        else "Not signed."
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Audit report</title><style>{_STYLE}</style></head><body>
<h1>Audit report</h1>
<p>{_day(report["from"])} to {_day(report["to"])} (UTC), made {escape(report["made_at"][:16].replace("T", " "))}.</p>
<p class="{_class(report["sound"])} verdict">{_verdict(report["sound"])}</p>
<h2>Is everything there? {_mark(whole["sound"])}</h2>
<p>Every record that was sent has to be used, known already, kept as unusable with the reason, or noted as missing.</p>
{_table(("partition", "read", "applied", "duplicates", "dead_letters", "holes"), whole["partitions"])}
<h3>Events a day</h3>{_plot([(one["day"], one["applied"]) for one in whole["by_day"]])}
<h3>What could not be used, and why</h3>{_table(("reason", "records"), whole["dead_letters"])}
<h2>Is it unchanged? {_mark(integrity["sound"])}</h2>
<p>{integrity["events"]:,} events in {integrity["size"]:,} batches were hashed again and compared with
{integrity["checkpoints"]:,} signed checkpoints, which cover {integrity["signed"]:,} of the batches.
{integrity["erased"]:,} records were erased: their seals are left.</p>
{_findings(integrity["findings"], ("batch_id", "where", "what"))}
<h2>Do today's journeys follow from it? {_mark(again["sound"])}</h2>
<p>{again["journeys"]:,} journeys were computed again from {again["events"]:,} events and compared.</p>
{_findings(again["differences"], ("table", "journey_id", "what"))}
<h2>People who were erased</h2>
<p>Nobody can tell from these records who they were.</p>
{_table(("committed_at", "reason", "by", "records", "erasure"), report["erasures"])}
<h2>Changes of the joint playbook</h2>
{_table(("proposed_at", "name", "state", "department", "by", "in_force_since"), report["playbook"])}
<h2>Who read personal data</h2>
{_plot([(one["day"], one["reads"]) for one in report["reads"]["by_day"]])}
{_table(("reader", "role", "endpoint", "reads", "journeys"), report["reads"]["by_reader"])}
<p class=small>{signed}</p>
<script type="application/json" id="report">{data}</script>
</body></html>
"""


def report_in(page: bytes) -> bytes | None:
    """The JSON in a page that `report_page` made; None where it is another one."""
    _, start, rest = page.partition(b'<script type="application/json" id="report">')
    text, end, _ = rest.partition(b"</script>")
    return text.replace(b"<\\/", b"</") if start and end else None


def _verdict(sound: bool) -> str:
    return "Everything is there, unchanged, and adds up." if sound else "Something is wrong: see what is marked below."


def _mark(sound: bool) -> str:
    return f'<span class="{_class(sound)}">{"yes" if sound else "NO"}</span>'


def _class(sound: bool) -> str:
    return "good" if sound else "bad"


def _day(time: str) -> str:
    return escape(time[:10])


def _findings(rows: Sequence[dict[str, Any]], columns: tuple[str, ...]) -> str:
    return _table(columns, rows) if rows else ""


def _table(columns: tuple[str, ...], rows: Sequence[dict[str, Any]]) -> str:
    if not rows:
        return "<p>None.</p>"
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in columns)
    body = "".join(f"<tr>{''.join(_cell(row[name]) for name in columns)}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _cell(value: Any) -> str:
    if isinstance(value, int):
        return f"<td class=n>{value:,}</td>"
    return f"<td>{escape('-' if value is None else str(value))}</td>"


def _plot(days: Sequence[tuple[str, int]]) -> str:
    """One bar a day."""
    if not days:
        return "<p>None.</p>"
    most, step = max(count for _, count in days) or 1, _WIDTH / len(days)
    bars = "".join(
        f'<rect x="{n * step:.1f}" y="{_HEIGHT - count / most * (_HEIGHT - 20):.1f}" width="{max(1.0, step - 1):.1f}" '
        f'height="{count / most * (_HEIGHT - 20):.1f}"><title>{escape(day)}: {count:,}</title></rect>'
        for n, (day, count) in enumerate(days)
    )
    labels = (
        f'<text x="0" y="{_HEIGHT + 16}">{escape(days[0][0])}</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT + 16}" text-anchor="end">{escape(days[-1][0])}</text>'
        f'<text x="0" y="12">{most:,}</text>'
    )
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT + 22}" width="{_WIDTH}" role="img">{bars}{labels}</svg>'


_STYLE = """
:root{color-scheme:light dark;--bar:#2563eb;--good:#15803d;--bad:#b91c1c}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h2{margin-top:2.5rem;font-size:1.2rem}h3{font-size:1rem}svg{max-width:100%;height:auto}
svg text{fill:currentColor;font-size:12px}rect{fill:var(--bar)}
.good{color:var(--good)}.bad{color:var(--bad);font-weight:bold}.verdict{font-size:1.2rem}.small{font-size:.85rem}
table{border-collapse:collapse;display:block;overflow-x:auto}
td,th{padding:.2rem .9rem .2rem 0;text-align:left;vertical-align:top}.n{text-align:right}
@media print{body{margin:0}}
"""
