"""`tandem playbook`: the rules both departments agree on. Propose, compare, preview, comment, decide."""

import difflib
import json
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.client import JsonClient, api_client, until_projected
from cli.errors import UserError
from cli.options import AsJson, By, DataDir, Department, example, optional_time
from cli.terminal import print_items, progress, show_parts
from schemas import departments

app = typer.Typer()
playbook = typer.Typer(
    no_args_is_help=True,
    help="The rules that both departments agree on: propose, compare, preview, comment and decide.",
    rich_markup_mode=None,
    add_completion=False,
)
app.add_typer(playbook, name="playbook")

File = Annotated[Path, typer.Argument(help="The playbook, in YAML.")]
ProposalId = Annotated[str, typer.Argument(help="Id of the proposal, as `tandem playbook log` shows it.")]
FileOrId = Annotated[str, typer.Argument(help="A playbook's file, or the id of a proposal.")]


@playbook.command(
    epilog=example(
        'tandem playbook propose plan.yaml --department marketing --by mia --comment "forms qualify from Monday"'
    )
)
def propose(
    file: File,
    department: Department = None,
    effective_at: Annotated[
        str | None, typer.Option(help="RFC 3339: when it comes into force. Default: once both have approved it.")
    ] = None,
    comment: Annotated[str | None, typer.Option(help="What the change is about.")] = None,
    by: By = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Propose a playbook. It comes into force at its effective time, once both departments have approved it."""
    when = optional_time(effective_at, "--effective-at")
    with api_client(data_dir) as client:
        made = client.propose_playbook(_read(file), department=department, effective_at=when, comment=comment, by=by)
        _projected(client, made["proposal"], 0)
    typer.echo(json.dumps(made) if as_json else f"proposal {made['proposal']}")


@playbook.command(epilog=example("tandem playbook approve 0198f1c2-... --department sales --by sam"))
def approve(
    proposal: ProposalId,
    department: Department = None,
    by: By = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Approve a proposal for your department. With both approvals it comes into force."""
    _decide(proposal, "approve", department, None, by, data_dir, as_json)


@playbook.command(
    epilog=example(
        'tandem playbook reject 0198f1c2-... --department sales --by sam --reason "too many leads for August"'
    )
)
def reject(
    proposal: ProposalId,
    reason: Annotated[str, typer.Option(help="Why. The reason is kept with the proposal.")],
    department: Department = None,
    by: By = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Reject a proposal for your department: it can no longer come into force."""
    _decide(proposal, "reject", department, reason, by, data_dir, as_json)


@playbook.command(
    epilog=example('tandem playbook comment 0198f1c2-... "how many leads is that a week?" --department sales --by sam')
)
def comment(
    proposal: ProposalId,
    text: Annotated[str, typer.Argument(help="The comment.")],
    department: Department = None,
    by: By = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Comment on a proposal. The comment is kept in its log."""
    _decide(proposal, "comment", department, text, by, data_dir, as_json)


def _decide(
    proposal: str,
    decision: str,
    department: departments.Department | None,
    text: str | None,
    by: str | None,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    from cli.render.playbook import proposal_line

    with api_client(data_dir) as client:
        before = len(client.proposal(proposal)["decisions"])
        client.decide_playbook(proposal, decision, department=department, text=text, by=by)
        decided = _projected(client, proposal, before + 1)
    typer.echo(json.dumps(decided) if as_json else proposal_line(decided))


def _projected(client: JsonClient, proposal: str, decisions: int) -> dict[str, Any]:
    """The proposal once it is projected with so many decisions. Raises UserError."""
    return until_projected(
        lambda: client.proposal(proposal), lambda now: len(now["decisions"]) >= decisions, f"proposal {proposal}"
    )


@playbook.command(epilog=example("tandem playbook show > plan.yaml"))
def show(
    proposal: Annotated[str | None, typer.Argument(help="Id of a proposal. Default: the playbook in force.")] = None,
    at: Annotated[str | None, typer.Option(help="RFC 3339: the playbook in force at this time.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Print the playbook in force, now or at a time, or that of a proposal."""
    with api_client(data_dir) as client:
        answer = client.proposal(proposal) if proposal else client.playbook(at=optional_time(at, "--at"))
    typer.echo(json.dumps(answer) if as_json else answer["playbook"].rstrip())


@playbook.command(epilog=example("tandem playbook log --json"))
def log(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Print all proposals with their comments, decisions and outcome."""
    from cli.render.playbook import proposal_line, proposal_rows

    with api_client(data_dir) as client:
        answer = client.proposals()
    if as_json:
        typer.echo(json.dumps(answer))
        return
    for proposal in answer["items"]:
        typer.echo(proposal_line(proposal))
        print_items(proposal_rows(proposal), False, ("at", "department", "by", "decision", "text", "because"))
    if answer["stray"]:
        typer.echo("decisions about proposals that do not exist:")
        print_items(answer["stray"], False, ("at", "department", "by", "decision", "proposal"))


@playbook.command(epilog=example("tandem playbook diff plan.yaml", "the rules are the same", "1 they differ"))
def diff(
    one: FileOrId,
    other: Annotated[str | None, typer.Argument(help="What to compare with. Default: the playbook in force.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Print what a playbook changes: rules, not layout or comments."""
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


@playbook.command(
    "what-if", epilog=example("tandem playbook what-if plan.yaml --since 2026-09-01T00:00:00Z -o what-if.html")
)
def what_if(
    which: FileOrId,
    since: Annotated[
        str | None,
        typer.Option(help="RFC 3339: as if it came into force then. Default: a proposal's effective time, else now."),
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="RFC 3339: the time to look at. Default: the later of now and --since.")
    ] = None,
    page: Annotated[Path | None, typer.Option("-o", "--output", help="Write a page with plots (HTML) here.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Preview what a playbook would do to all journeys, before anybody approves it. Nothing changes."""
    from cli.render.what_if import what_if_page, what_if_tables

    with api_client(data_dir) as client:
        text = _text(client, which)
        if since is None and not Path(which).exists():
            since = client.proposal(which)["effective_at"]
        times = {"since": optional_time(since, "--since"), "at": optional_time(at, "--at")}
        with progress("journeys", quiet=as_json) as advance:
            answer = client.what_if(text, tell=advance, **times)
    if page is not None:
        page.write_text(what_if_page(answer, which), "utf-8")
    if as_json:
        typer.echo(json.dumps(answer))
    else:
        show_parts(*what_if_tables(answer))
    if page is not None:
        typer.echo(f"wrote {page}", err=True)
