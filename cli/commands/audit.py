"""`tandem audit`: keys, signed checkpoints, and proofs that nothing recorded was changed."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.database import on_database
from cli.errors import UserError
from cli.options import AsJson, DataDir, example, time_of
from cli.terminal import progress

if TYPE_CHECKING:
    from datetime import datetime

    import asyncpg

    from audit.proofs import Proof
    from store.report import Span

app = typer.Typer()
audit = typer.Typer(
    no_args_is_help=True,
    help="Prove that nothing recorded was changed: keys, signed checkpoints, verification.",
    rich_markup_mode=None,
    add_completion=False,
)
app.add_typer(audit, name="audit")

PrivateKey = Annotated[
    Path | None,
    typer.Option("--key", help="File with the signer's private key. Default: TANDEM_AUDIT_KEY, else the stack's own."),
]
PublicKey = Annotated[
    Path | None,
    typer.Option(
        "--key", help="File with the signer's public key. Default: TANDEM_AUDIT_KEY with .pub, else the stack's own."
    ),
]
Checkpoints = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint",
        help="File with signed checkpoints, one a line. Default: TANDEM_CHECKPOINTS, else the stack's own.",
    ),
]


@audit.command(epilog=example("tandem audit key /safe/audit.pem"))
def key(
    file: Annotated[Path, typer.Argument(help="File to create; the public key goes beside it, with .pub.")],
) -> None:
    """Create a key pair for checkpoints. Keep the private key where no writer of the database can read it."""
    from audit.checkpoints import key_name, make_key, public_path

    made = make_key(file)
    typer.echo(f"key {key_name(made)}: private in {file}, public in {public_path(file)}")


@audit.command(epilog=example("tandem audit sign --key /safe/audit.pem --checkpoint /safe/checkpoints.jsonl"))
def sign(
    private_key: PrivateKey = None,
    checkpoints: Checkpoints = None,
    every: Annotated[float, typer.Option(min=1, help="Seconds between two checkpoints.")] = 60.0,
    once: Annotated[bool, typer.Option("--once", help="Sign now, and return.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Sign the tree of batches every minute, into a file outside the database, until interrupted.

    Nothing is signed while the database lacks what was signed before.
    """
    from datetime import UTC, datetime

    from audit.checkpoints import load_private
    from audit.signer import Signer, sign_on
    from cli.render.proofs import checkpoint_text
    from cli.settings import audit_files, load_settings
    from cli.stack.processes import log_to_stderr

    files = audit_files(data_dir)
    path = checkpoints or files.checkpoints
    signer = Signer(load_private(private_key or files.key), path, lambda: datetime.now(UTC))
    if not once:
        log_to_stderr()
        try:
            asyncio.run(sign_on(load_settings(data_dir).database_url, signer, every))
        except KeyboardInterrupt:
            return
    made = on_database(data_dir, signer.sign)
    typer.echo(f"nothing was committed since the last checkpoint in {path}" if made is None else checkpoint_text(made))


@audit.command(
    epilog=example(
        "tandem audit verify --checkpoint /safe/checkpoints.jsonl --key /safe/audit.pem.pub",
        *("everything is as it was signed", "1 something differs"),
    )
)
def verify(
    checkpoints: Checkpoints = None,
    public_key: PublicKey = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Recompute chain, tree and blocks, and compare them with what was signed.

    `tandem verify` says whether the projection follows from the records; this, whether the records are as they were.
    """
    from audit.chain import prove
    from cli.checkpoints import trusted_checkpoints
    from cli.render.proofs import integrity_text

    signed, unread = trusted_checkpoints(checkpoints, public_key, data_dir)
    with progress("reading batches", quiet=as_json) as advance:
        proven = on_database(data_dir, lambda connection: prove(connection, signed, advance))
    proven.findings.extend(unread)
    if as_json:
        shown = proven._asdict() | {"sound": proven.sound, "findings": [one._asdict() for one in proven.findings]}
        typer.echo(json.dumps(shown))
    else:
        typer.echo(integrity_text(proven))
    if not proven.sound:
        raise typer.Exit(1)


@audit.command(
    epilog=example("tandem audit proof --batch 17 -o proof.json && tandem audit check proof.json --key audit.pem.pub")
)
def proof(
    batch: Annotated[int | None, typer.Option(help="Prove that this batch is under the last checkpoint.")] = None,
    since: Annotated[
        int | None,
        typer.Option(help="Prove that batches were only added since the checkpoint over this many batches."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File to write. Default: standard output.")
    ] = None,
    checkpoints: Checkpoints = None,
    public_key: PublicKey = None,
    data_dir: DataDir = None,
) -> None:
    """Make a proof that `tandem audit check` can check without the database."""
    import msgspec

    from audit.checkpoints import check, load_public, read_checkpoints
    from audit.proofs import prove_consistency, prove_inclusion
    from cli.settings import audit_files

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

    made = msgspec.json.format(msgspec.json.encode(on_database(data_dir, make)))
    if output is None:
        typer.echo(made.decode())
    else:
        output.write_bytes(made + b"\n")
        typer.echo(f"{output}: `tandem audit check` checks it without the database")


@audit.command(epilog=example("tandem audit check proof.json --key audit.pem.pub", "it holds", "1 it does not"))
def check(
    file: Annotated[Path, typer.Argument(help="A proof, a report or a certificate.")],
    public_key: PublicKey = None,
    data_dir: DataDir = None,
) -> None:
    """Check a proof, or the signature of a report or a certificate, without the database."""
    import msgspec

    from audit.checkpoints import check_signature, load_public
    from audit.proofs import NoProof, Proof, check_proof
    from cli.render.report_page import report_in
    from cli.settings import audit_files
    from cli.signing import canonical

    content, key = file.read_bytes(), load_public(public_key or audit_files(data_dir).public_key)
    try:
        document = msgspec.json.decode(report_in(content) or content)
        if isinstance(document, dict) and "signature" in document:
            signature = document.pop("signature")
            document.pop("key", None)
            check_signature(key, canonical(document), signature, str(file))
            typer.echo(f"{file} is as it was signed")
            return
        proof: Proof = msgspec.convert(document, Proof)
    except msgspec.MsgspecError as error:
        raise NoProof(f"{file} is no proof: {error}") from error
    typer.echo(check_proof(proof, key))


@audit.command(
    epilog=example(
        "tandem audit report --from 2026-01-01 --to 2026-04-01 -o report.html",
        *("all is well", "1 something is wrong"),
    )
)
def report(
    start: Annotated[str, typer.Option("--from", help="First moment: RFC 3339, or a day of UTC.")],
    end: Annotated[
        str | None, typer.Option("--to", help="Last moment, not included: RFC 3339, or a day of UTC. Default: now.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="report.html for people, report.json for programs.")
    ] = None,
    checkpoints: Checkpoints = None,
    public_key: PublicKey = None,
    data_dir: DataDir = None,
) -> None:
    """Report on a span of time: completeness, integrity, reproducibility, erasures, the playbook, who read what.

    Everything is verified anew. The report is signed with the audit key, if that is on this machine.
    """
    from datetime import UTC, datetime

    from audit.report import report as gather
    from cli.checkpoints import trusted_checkpoints
    from cli.render.report_page import report_page
    from cli.settings import load_rules, load_settings
    from cli.signing import signed_document

    now = datetime.now(UTC)
    span = _span(start, end, now)
    if output is not None and output.suffix not in (".html", ".json"):
        raise UserError(f"{output}: name it .html for people, or .json for programs")
    signed, unread = trusted_checkpoints(checkpoints, public_key, data_dir)
    settings = load_settings(data_dir)
    rules = load_rules(settings)
    with progress("recomputing") as advance:
        found = asyncio.run(gather(settings.database_url, rules, span, signed, unread, now, advance))
    made = signed_document(found, data_dir)
    html = output is not None and output.suffix == ".html"
    text = report_page(made) if html else json.dumps(made, indent=2) + "\n"
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, "utf-8")
        verdict = "everything is there, unchanged, and adds up" if made["sound"] else "something is WRONG"
        typer.echo(f"{output}: {verdict}")
    if not made["sound"]:
        raise typer.Exit(1)


def _span(start: str, end: str | None, now: "datetime") -> "Span":
    from store.report import Span

    span = Span(_moment(start, "--from"), now if end is None else _moment(end, "--to"))
    if span.end <= span.start:
        raise UserError("--to does not lie after --from: name a span of time")
    return span


def _moment(text: str, option: str) -> "datetime":
    from datetime import UTC, datetime

    if len(text) == len("2026-01-01"):
        text += "T00:00:00+00:00"
    return datetime.fromisoformat(time_of(text, option)).astimezone(UTC)
