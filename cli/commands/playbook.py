"""`tandem playbook`: the joint plan. Propose, look, talk, decide; see what a change would do before it is decided."""

import difflib
import json
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.client import AsJson, DataDir, JsonClient, api_client, print_items, time_of
from cli.errors import UserError

app = typer.Typer()
playbook = typer.Typer(
    no_args_is_help=True,
    help="The joint plan: propose, diff, what-if, approve, reject, comment, show, log.",
    rich_markup_mode=None,
    add_completion=False,
)
app.add_typer(playbook, name="playbook")

File = Annotated[Path, typer.Argument(help="The playbook, in YAML.")]
One = Annotated[str, typer.Argument(help="Id of the proposal, as `tandem playbook log` shows it.")]
Either = Annotated[str, typer.Argument(help="A playbook's file, or the id of a proposal.")]
As = Annotated[
    str | None, typer.Option("--as", help="marketing or sales; of a token that plans for one only, that one.")
]
By = Annotated[str | None, typer.Option(envvar="TANDEM_USER", help="Who decides; with a token it is its subject.")]


@playbook.command()
def propose(
    file: File,
    department: As = None,
    effective_at: Annotated[
        str | None, typer.Option(help="RFC 3339: from when on it holds; once both have approved it, without.")
    ] = None,
    comment: Annotated[str | None, typer.Option(help="What it is about.")] = None,
    by: By = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Propose a playbook. It holds once both departments have approved it, from its effective time on.

    Example: tandem playbook propose plan.yaml --as marketing --by mia --comment "forms qualify from Monday"
    """
    when = None if effective_at is None else time_of(effective_at, "--effective-at")
    with api_client(data_dir) as client:
        found = client.propose_playbook(_read(file), department=department, effective_at=when, comment=comment, by=by)
        _wait(client, found["proposal"], 0)
    typer.echo(json.dumps(found) if as_json else f"proposal {found['proposal']}")


@playbook.command()
def approve(
    proposal: One,
    department: As = None,
    by: By = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Approve a proposal in your department's name. With both approvals it comes into force.

    Example: tandem playbook approve 0198f1c2-... --as sales --by sam
    """
    _decide(proposal, "approve", department, None, by, data_dir, as_json)


@playbook.command()
def reject(
    proposal: One,
    reason: Annotated[str, typer.Option(help="Why; it is kept with the proposal.")],
    department: As = None,
    by: By = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Reject a proposal in your department's name: it can come into force no more.

    Example: tandem playbook reject 0198f1c2-... --as sales --by sam --reason "too many leads for August"
    """
    _decide(proposal, "reject", department, reason, by, data_dir, as_json)


@playbook.command()
def comment(
    proposal: One,
    text: Annotated[str, typer.Argument(help="What you have to say.")],
    department: As = None,
    by: By = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Comment on a proposal. Comments are kept: the log of joint planning.

    Example: tandem playbook comment 0198f1c2-... "how many leads is that a week?" --as sales --by sam
    """
    _decide(proposal, "comment", department, text, by, data_dir, as_json)


def _decide(
    proposal: str,
    decision: str,
    department: str | None,
    text: str | None,
    by: str | None,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    with api_client(data_dir) as client:
        before = len(client.proposal(proposal)["decisions"])
        client.decide_playbook(proposal, decision, department=department, text=text, by=by)
        found = _wait(client, proposal, before + 1)
    typer.echo(json.dumps(found) if as_json else _line(found))


def _wait(client: JsonClient, proposal: str, decisions: int) -> Any:
    """The proposal once it, with so many decisions, is projected: some seconds at most. Raises UserError."""
    import time

    import tandem

    deadline = time.monotonic() + 15
    while True:
        try:
            found = client.proposal(proposal)
            if len(found["decisions"]) >= decisions:
                return found
        except tandem.NotFound:
            pass
        if time.monotonic() > deadline:
            raise UserError(
                f"proposal {proposal}: published, but not projected yet; does a worker run? see tandem status"
            )
        time.sleep(0.1)


def _line(found: dict[str, Any]) -> str:
    """What became of a proposal in a line."""
    approved = ", ".join(f"{name} ({by})" for name, by in found["approved_by"].items())
    since = f" since {found['in_force_since']}" if found["in_force_since"] else ""
    because = f": {found['reason']}" if found["reason"] else ""
    return f"{found['proposal']} is {found['state']}{since}{because}; approved by {approved or 'nobody yet'}"


@playbook.command()
def show(
    proposal: Annotated[str | None, typer.Argument(help="Id of a proposal; the playbook in force, without.")] = None,
    at: Annotated[str | None, typer.Option(help="RFC 3339: what was, or will be, in force then.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Print the playbook in force, now or at a time, or a proposal's.

    Example: tandem playbook show > plan.yaml
    """
    with api_client(data_dir) as client:
        found = client.proposal(proposal) if proposal else client.playbook(at=at and time_of(at, "--at"))
    typer.echo(json.dumps(found) if as_json else found["playbook"].rstrip())


@playbook.command()
def log(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Print all proposals, who said what of them, and what came of it: the log of joint planning.

    Example: tandem playbook log --json
    """
    with api_client(data_dir) as client:
        found = client.proposals()
    if as_json:
        typer.echo(json.dumps(found))
        return
    for proposal in found["items"]:
        typer.echo(f"{_line(proposal)}")
        said = {"decision": "propose", "at": proposal["proposed_at"], "text": proposal["comment"], "because": None}
        rows = [said | {"department": proposal["department"], "by": proposal["by"]}, *proposal["decisions"]]
        print_items(rows, False, ("at", "department", "by", "decision", "text", "because"))
    if found["stray"]:
        typer.echo("words about proposals that there are none of:")
        print_items(found["stray"], False, ("at", "department", "by", "decision", "proposal"))


@playbook.command()
def diff(
    one: Either,
    other: Annotated[str | None, typer.Argument(help="Compared with this one; with what is in force, without.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Print what a playbook changes: rules, not layout or comments. Exit code 1 where it changes anything.

    Example: tandem playbook diff plan.yaml
    """
    with api_client(data_dir) as client:
        after = _text(client, one)
        before = client.playbook()["playbook"] if other is None else _text(client, other)
    lines = list(difflib.unified_diff(_rules(before), _rules(after), other or "in force", one, n=3, lineterm=""))
    typer.echo(json.dumps({"lines": lines}) if as_json else "\n".join(lines) or "the rules are the same")
    if lines:
        raise typer.Exit(1)


def _rules(text: str) -> list[str]:
    from projections.playbook.model import InvalidPlaybook, Playbook, to_yaml
    from projections.playbook.strict_yaml import read_model

    return to_yaml(read_model(text, Playbook, "playbook", InvalidPlaybook)).splitlines()


def _text(client: JsonClient, which: str) -> str:
    """The text of a file, or of a proposal."""
    try:
        return str(client.proposal(str(uuid.UUID(which)))["playbook"])
    except ValueError:
        return _read(Path(which))


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except OSError as error:
        raise UserError(f"cannot read the playbook {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"the playbook {file} is not UTF-8 text") from error


@playbook.command("what-if")
def what_if(
    which: Either,
    since: Annotated[
        str | None,
        typer.Option(help="RFC 3339: as if it held from then on. A proposal's effective time, else now, without."),
    ] = None,
    at: Annotated[str | None, typer.Option(help="RFC 3339: the time to look at. The later of now and --since.")] = None,
    page: Annotated[Path | None, typer.Option("-o", "--output", help="Write a page with plots (HTML) here.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show what a playbook would do to all journeys, before anybody approves it. Nothing changes.

    Example: tandem playbook what-if plan.yaml --since 2026-09-01T00:00:00Z -o what-if.html
    """
    from cli.render.what_if import print_what_if, what_if_page

    with api_client(data_dir) as client:
        text = _text(client, which)
        if since is None and not Path(which).exists():
            since = client.proposal(which)["effective_at"]
        found = _ask(client, text, since and time_of(since, "--since"), at and time_of(at, "--at"), as_json)
    if page is not None:
        page.write_text(what_if_page(found, which), "utf-8")
    if as_json:
        typer.echo(json.dumps(found))
    else:
        print_what_if(found)
    if page is not None:
        typer.echo(f"{page} is written", err=True)


def _ask(client: JsonClient, text: str, since: str | None, at: str | None, as_json: bool) -> Any:
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=as_json or not console.is_terminal, transient=True) as bar:
        task = bar.add_task("journeys", total=None)
        return client.what_if(
            text, since=since, at=at, tell=lambda done, total: bar.update(task, completed=done, total=total)
        )
