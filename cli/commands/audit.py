"""`tandem audit`: keys, signed checkpoints, and proofs that nothing recorded was changed."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from cli.client import AsJson, DataDir
from projections.playbook.rules import load_rules

if TYPE_CHECKING:
    from datetime import datetime

    import asyncpg

    from audit.chain import Finding, Proven
    from audit.checkpoints import Checkpoint
    from audit.proofs import Proof

_T = TypeVar("_T")

app = typer.Typer()
audit = typer.Typer(
    no_args_is_help=True,
    help="Proofs that nothing recorded was changed: keys, signed checkpoints, verification.",
    rich_markup_mode=None,
    add_completion=False,
)
app.add_typer(audit, name="audit")

KeyFile = Annotated[
    Path | None,
    typer.Option("--key", help="File with the signer's private key; TANDEM_AUDIT_KEY, or the stack's own."),
]
PublicKey = Annotated[
    Path | None,
    typer.Option("--key", help="File with the signer's public key; TANDEM_AUDIT_KEY with .pub, or the stack's own."),
]
Checkpoints = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint", help="File with signed checkpoints, one a line; TANDEM_CHECKPOINTS, or the stack's own."
    ),
]


@audit.command()
def key(file: Annotated[Path, typer.Argument(help="File to make; the public key goes beside it, with .pub.")]) -> None:
    """Make a key pair for checkpoints. Keep the private key where nobody who can write to the database can read it.

    Example: tandem audit key /safe/audit.pem
    """
    from audit.checkpoints import key_name, make_key, public_path

    made = make_key(file)
    typer.echo(f"key {key_name(made)}: private in {file}, public in {public_path(file)}")


@audit.command()
def sign(
    private_key: KeyFile = None,
    checkpoints: Checkpoints = None,
    every: Annotated[float, typer.Option(min=1, help="Seconds between two checkpoints.")] = 60.0,
    once: Annotated[bool, typer.Option("--once", help="Sign now, and return.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Sign the tree of batches every minute, into a file outside the database, until interrupted.

    Nothing is signed while the database does not hold what was signed before.

    Example: tandem audit sign --key /safe/audit.pem --checkpoint /safe/checkpoints.jsonl
    """
    from datetime import UTC, datetime

    from audit.checkpoints import load_private
    from audit.signer import Signer, sign_on
    from cli.settings import audit_files, load_settings
    from cli.stack.processes import log_to_stderr

    files = audit_files(data_dir)
    path = checkpoints or files.checkpoints
    signer = Signer(load_private(private_key or files.key), path, lambda: datetime.now(UTC))
    database_url = load_settings(data_dir).database_url
    if not once:
        log_to_stderr()
        try:
            asyncio.run(sign_on(database_url, signer, every))
        except KeyboardInterrupt:
            return
    made = asyncio.run(_with_connection(database_url, signer.sign))
    typer.echo(f"nothing was committed since the last checkpoint in {path}" if made is None else _told(made))


@audit.command()
def verify(
    checkpoints: Checkpoints = None,
    public_key: PublicKey = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Compute chain, tree and blocks again, and compare them with what was signed; exit code 1 where anything differs.

    `tandem verify` says whether the projection follows from the records; this, whether the records are as they were.

    Example: tandem audit verify --checkpoint /safe/checkpoints.jsonl --key /safe/audit.pem.pub
    """
    from rich.console import Console
    from rich.progress import Progress

    from audit.chain import prove
    from cli.settings import load_settings

    signed, unread = _read(checkpoints, public_key, data_dir)
    console = Console(stderr=True)
    with Progress(console=console, disable=as_json or not console.is_terminal, transient=True) as bar:
        task = bar.add_task("reading batches", total=None)

        def tell(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        database_url = load_settings(data_dir).database_url
        found = asyncio.run(_with_connection(database_url, lambda connection: prove(connection, signed, tell)))
    found.findings.extend(unread)
    _report(found, as_json=as_json)
    if not found.sound:
        raise typer.Exit(1)


@audit.command()
def proof(
    batch: Annotated[int | None, typer.Option(help="Prove that this batch is under the last checkpoint.")] = None,
    since: Annotated[
        int | None, typer.Option(help="Prove that batches were only added since the checkpoint over so many.")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="File to write; else it is printed.")] = None,
    checkpoints: Checkpoints = None,
    public_key: PublicKey = None,
    data_dir: DataDir = None,
) -> None:
    """Make a proof that can be checked without the database: `tandem audit check` does.

    Example: tandem audit proof --batch 17 -o proof.json && tandem audit check proof.json --key audit.pem.pub
    """
    import msgspec

    from audit.checkpoints import check, load_public, read_checkpoints
    from audit.proofs import prove_consistency, prove_inclusion
    from cli.errors import UserError
    from cli.settings import audit_files, load_settings

    if (batch is None) == (since is None):
        raise UserError("name what is to be proven: --batch ID, or --since SIZE")
    files = audit_files(data_dir)
    signed, verifier = read_checkpoints(checkpoints or files.checkpoints), load_public(public_key or files.public_key)
    if not signed:
        raise UserError("there is no checkpoint yet: `tandem audit sign --once` makes one")
    last = signed[-1]
    check(last, verifier)

    async def make(connection: "asyncpg.Connection") -> "Proof":
        if batch is not None:
            return await prove_inclusion(connection, batch, last)
        first = next((one for one in signed if one.size == since), None)
        if first is None:
            sizes = ", ".join(str(one.size) for one in signed[-5:])
            raise UserError(f"no checkpoint is over {since} batches; the last ones are over {sizes}")
        return await prove_consistency(connection, first, last)

    found = asyncio.run(_with_connection(load_settings(data_dir).database_url, make))
    made = msgspec.json.format(msgspec.json.encode(found))
    if output is None:
        typer.echo(made.decode())
    else:
        output.write_bytes(made + b"\n")
        typer.echo(f"{output}: `tandem audit check` checks it without the database")


@audit.command()
def check(
    file: Annotated[Path, typer.Argument(help="A proof, a report or a certificate.")],
    public_key: PublicKey = None,
    data_dir: DataDir = None,
) -> None:
    """Check a proof, or the signature of a report or a certificate, without the database.

    Example: tandem audit check proof.json --key audit.pem.pub
    """
    import msgspec

    from audit.checkpoints import check_signature, load_public
    from audit.proofs import NoProof, Proof, check_proof
    from cli.render.report_page import report_in
    from cli.settings import audit_files

    content, key = file.read_bytes(), load_public(public_key or audit_files(data_dir).public_key)
    document = report_in(content) or content
    try:
        found = msgspec.json.decode(document)
        if isinstance(found, dict) and "signature" in found:
            signature = found.pop("signature")
            found.pop("key", None)
            check_signature(key, _canonical(found), signature, str(file))
            typer.echo(f"{file} is as it was signed")
            return
        proof: Proof = msgspec.convert(found, Proof)
    except msgspec.MsgspecError as error:
        raise NoProof(f"{file} is no proof: {error}") from error
    typer.echo(check_proof(proof, key))


@audit.command()
def report(
    start: Annotated[str, typer.Option("--from", help="RFC 3339, or a day of UTC: from when on.")],
    end: Annotated[str | None, typer.Option("--to", help="RFC 3339, or a day of UTC, not in it; now, without.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="report.html for people, report.json for programs.")
    ] = None,
    checkpoints: Checkpoints = None,
    public_key: PublicKey = None,
    data_dir: DataDir = None,
) -> None:
    """Report on a span of time: completeness, integrity, reproducibility, erasures, the playbook, who read what.

    Everything is verified anew for it; exit code 1 if anything is wrong. Signed with the audit key, where it is here.

    Example: tandem audit report --from 2026-01-01 --to 2026-04-01 -o report.html
    """
    from datetime import UTC, datetime

    from rich.console import Console
    from rich.progress import Progress

    from audit.report import report as gather
    from cli.errors import UserError
    from cli.render.report_page import report_page
    from cli.settings import load_settings
    from store.report import Span

    now = datetime.now(UTC)
    span = Span(_time(start, "--from"), now if end is None else _time(end, "--to"))
    if span.end <= span.start:
        raise UserError("--to does not lie after --from: name a span of time")
    if output is not None and output.suffix not in (".html", ".json"):
        raise UserError(f"{output}: name it .html for people, or .json for programs")
    signed, unread = _read(checkpoints, public_key, data_dir)
    settings = load_settings(data_dir)
    rules = load_rules(settings.playbook)
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("recomputing", total=None)

        def tell(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        found = asyncio.run(gather(settings.database_url, rules, span, signed, unread, now, tell))
    made = signed_document(found, data_dir)
    html = output is not None and output.suffix == ".html"
    text = report_page(made) if html else json.dumps(made, indent=2) + "\n"
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, "utf-8")
        typer.echo(
            f"{output}: {'everything is there, unchanged, and adds up' if made['sound'] else 'something is WRONG'}"
        )
    if not made["sound"]:
        raise typer.Exit(1)


def _time(text: str, option: str) -> "datetime":
    from datetime import UTC, datetime

    from cli.client import time_of

    if len(text) == len("2026-01-01"):
        text += "T00:00:00+00:00"
    return datetime.fromisoformat(time_of(text, option)).astimezone(UTC)


def signed_document(made: dict[str, Any], data_dir: Path | None) -> dict[str, Any]:
    """A document with a signature over its other fields as JSON with sorted keys, if there is a key here."""
    from audit.checkpoints import load_private, signature_of
    from cli.settings import audit_files

    key = audit_files(data_dir).key
    if not key.exists():
        return made
    return made | signature_of(load_private(key), _canonical(made))


def _canonical(made: dict[str, Any]) -> bytes:
    return json.dumps(made, sort_keys=True).encode()


def _read(
    checkpoints: Path | None, public_key: Path | None, data_dir: Path | None
) -> "tuple[list[Checkpoint], list[Finding]]":
    """The checkpoints that the key signed, and what is wrong with the others."""
    from audit.chain import Finding
    from audit.checkpoints import DamagedCheckpoint, load_public, parse_checkpoints
    from audit.checkpoints import check as check_signature
    from cli.settings import audit_files

    files = audit_files(data_dir)
    path, verifier = checkpoints or files.checkpoints, load_public(public_key or files.public_key)
    good, bad = list["Checkpoint"](), list[Finding]()
    for number, one in enumerate(parse_checkpoints(path.read_bytes()), 1):
        try:
            if isinstance(one, DamagedCheckpoint):
                raise one
            check_signature(one, verifier)
        except DamagedCheckpoint as error:
            bad.append(Finding(None, f"{path}, line {number}", str(error)))
        else:
            good.append(one)
    return good, bad


def _told(one: "Checkpoint") -> str:
    return f"{one.size:,} batches signed at {one.signed_at}, root {one.root[:16]}"


def _report(found: "Proven", *, as_json: bool) -> None:
    if as_json:
        shown = found._asdict() | {"sound": found.sound, "findings": [one._asdict() for one in found.findings]}
        typer.echo(json.dumps(shown))
        return
    for one in found.findings:
        batch = "" if one.batch_id is None else f"batch {one.batch_id}: "
        typer.echo(f"{batch}{one.where}: {one.what}")
    state = "are as they were committed" if found.sound else "are NOT as they were committed"
    typer.echo(f"{found.events:,} events in {found.size:,} batches {state}; {found.erased:,} were erased")
    typer.echo(f"{found.checkpoints:,} checkpoints cover {found.signed:,} batches; root {found.root[:16]}")


async def _with_connection(database_url: str, do: "Callable[[asyncpg.Connection], Awaitable[_T]]") -> "_T":
    from store.session import closing, open_connection

    async with closing(await open_connection(database_url)) as connection:
        return await do(connection)
