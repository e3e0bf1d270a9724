"""The demo: the funnel filling up, the lag, and that no record is lost."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

import tandem
from audit.digest import projection_digest
from cli.client import JsonClient
from cli.demo.acts import change_the_plan, show_audiences, show_credit, show_handoffs
from cli.demo.simulation import Fact, id_of, simulate
from cli.errors import UserError
from cli.producers import identifiers_of, producer_of
from cli.render.funnel import funnel_table
from cli.render.journeys import journey_story
from cli.settings import Settings, access_settings, load_rules, load_settings
from cli.stack import supervisor
from cli.stack.child import ended_by_signals, supervise
from cli.stack.status import Status, look
from deploy.embedded.process import free_port
from projections.memory import digest_of_workspace, fold_events
from schemas.decode import decode
from schemas.event import Event
from store.session import open_engine_connection
from tandem.envelope import encode_event

_DAYS = 100  #: before today, when the simulated people begin to turn up
_STREAM_SECONDS = 14.0  #: over which the simulation is spread
_SETTLE_SECONDS = 30.0
_LOOK_SECONDS = 0.5


def run_demo(*, keep: bool, seed: int, people: int, data_dir: Path | None, port: int | None) -> bool:
    """Run the demo; whether everything added up. Whatever happens, the stack is stopped and temporary data removed."""
    if access_settings() is not None:
        raise UserError("the demo runs without tokens: unset TANDEM_ACCESS for it")
    console = Console(highlight=False)
    with ExitStack() as stack, ended_by_signals() as ended:
        folder = data_dir or Path(tempfile.mkdtemp(prefix="tandem-demo-"))
        if data_dir is None:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        console.print("[bold]Tandem[/bold]: starting Kafka, PostgreSQL, the projector and the API")
        addresses, children = supervisor.start(folder, port or free_port(), stack, ended)
        now = datetime.now(UTC)
        facts = simulate(seed, people, now - timedelta(days=_DAYS), now)
        sound = asyncio.run(_play(load_settings(folder), facts, console, ended))
        api = addresses["api"]
        console.print(f"\nThe API answers at [bold]{api}[/bold] - for example:\n  curl '{api}/v1/funnel?by=channel'")
        if keep and not ended():
            console.print("Staying up until Ctrl-C; commands such as `tandem funnel --by channel` find it.")
            supervise(children, ended)
        return sound and (keep or not ended())


async def _play(settings: Settings, facts: Sequence[Fact], console: Console, ended: Callable[[], bool]) -> bool:
    console.print(
        f"Streaming {len(facts):,} facts of web, mailer, ads and CRM, some late, some twice; "
        "neither department's system calls the other's"
    )
    sent: list[int] = [0]
    streaming = asyncio.create_task(_stream(settings, facts, sent, ended))
    started = time.monotonic()
    with tandem.Client(settings.api) as connected:
        client = JsonClient(connected)
        state = await _watch(settings, client, console, streaming, (sent, len(facts), started), ended)
        await streaming
        if ended():
            return False
        story = _best_story(client)
        if story is not None:
            console.print("\n[bold]One journey, event by event[/bold]")
            console.print(journey_story(story))
        sound = await _adds_up(settings, facts, state, console)
        show_handoffs(client, console)
        show_audiences(client, console)
        show_credit(client, console)
        plan = change_the_plan(client, console)
    return sound and plan.state == "in-force"


async def _stream(settings: Settings, facts: Sequence[Fact], sent: list[int], ended: Callable[[], bool]) -> None:
    """Publish through one producer for each source, as each department's systems would."""
    sources = sorted({(fact.department, fact.source) for fact in facts})
    producers = {
        (department, source): await producer_of(settings.kafka, department, source).start()
        for department, source in sources
    }
    started = time.monotonic()
    for number, fact in enumerate(facts):
        await producers[fact.department, fact.source].emit(
            fact.type,
            version=fact.version,
            id=id_of(fact),
            occurred_at=fact.occurred_at,
            identities=identifiers_of(fact.identities.items()),
            data=fact.data,
            consent=fact.consent,
        )
        sent[0] = number + 1
        ahead = started + number / len(facts) * _STREAM_SECONDS - time.monotonic()
        if ahead > 0.02:
            await asyncio.sleep(ahead)
        if ended():
            break
    for producer in producers.values():
        await producer.close()


async def _watch(
    settings: Settings,
    client: JsonClient,
    console: Console,
    streaming: "asyncio.Task[None]",
    progress: tuple[list[int], int, float],
    ended: Callable[[], bool],
) -> Status:
    """Show the live state until everything that was sent is applied."""
    sent, total, started = progress
    state = await look(settings)
    finish: float | None = None
    with Live(console=console, refresh_per_second=4, transient=False) as live:
        while not ended():
            state = await look(settings)
            applied = sum(one.read for one in state.partitions)
            rate = applied / max(0.001, time.monotonic() - started)
            funnel = await asyncio.to_thread(client.funnel)
            line = f"sent {sent[0]:,} of {total:,}   applied {applied:,}   {rate:,.0f} events/s   lag {state.lag:,}"
            if console.is_terminal:
                live.update(Group(Text(line), funnel_table(funnel["total"])))
            else:
                live.console.print(line)
            if streaming.done():
                finish = finish or time.monotonic()
                if state.lag == 0 or time.monotonic() - finish > _SETTLE_SECONDS:
                    break
            await asyncio.sleep(_LOOK_SECONDS)
        if not console.is_terminal:
            live.console.print(funnel_table((await asyncio.to_thread(client.funnel))["total"]))
    return state


def _best_story(client: JsonClient) -> dict[str, Any] | None:
    """A customer's journey with several devices, if there is one."""
    best: dict[str, Any] | None = None
    for summary in islice(client.journeys(stage="customer"), 40):
        journey = client.journey(tandem.Identifier("journey", summary["journey_id"]))
        if best is None or len(journey["identifiers"]) > len(best["identifiers"]):
            best = journey
    return best


async def _adds_up(settings: Settings, facts: Sequence[Fact], state: Status, console: Console) -> bool:
    """Law 4: the equation of all partitions. Law 2: a fold in memory of what was sent gives the stored journeys."""
    names = ("read", "applied", "duplicates", "dead", "holes")
    read, applied, duplicates, dead, holes = (sum(getattr(one, name) for one in state.partitions) for name in names)
    console.print(
        f"\nNo record is lost: read {read:,} = applied {applied:,} + duplicates {duplicates:,} + dead letters {dead:,} "
        f"+ holes {holes:,}"
    )
    connection = await open_engine_connection(settings.database_url)
    try:
        stored = await projection_digest(connection)
    finally:
        await connection.close()
    rules = load_rules(settings)
    expected = digest_of_workspace(fold_events(_events(facts), rules))
    same = stored.sha256 == expected
    console.print(
        f"{stored.journeys:,} journeys; digest {stored.sha256[:16]} "
        + (
            "equals the fold in memory of what was sent"
            if same
            else f"DIFFERS from the fold in memory: {expected[:16]}"
        )
    )
    return same and state.lag == 0 and all(one.sound for one in state.partitions)


def _events(facts: Sequence[Fact]) -> list[Event]:
    """What was sent, each once, as the projector decodes it."""
    distinct = {(fact.source, fact.own_id): fact for fact in facts}
    return [
        decode(
            encode_event(
                fact.type,
                department=fact.department,
                source=fact.source,
                id_=id_of(fact),
                occurred_at=fact.occurred_at,
                identities=identifiers_of(fact.identities.items()),
                data=fact.data,
                version=fact.version,
                consent=fact.consent,
            ).value,
            fact.department,
        )
        for fact in distinct.values()
    ]
