"""The signed checkpoints that proofs rest on: the file, and what of it the key signed."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audit.chain import Finding
    from audit.checkpoints import Checkpoint


def trusted_checkpoints(
    checkpoints: Path | None, public_key: Path | None, data_dir: Path | None
) -> "tuple[list[Checkpoint], list[Finding]]":
    """The checkpoints that the key signed, and what is wrong with the others."""
    from audit.chain import Finding
    from audit.checkpoints import Checkpoint, DamagedCheckpoint, check, load_public, parse_checkpoints
    from cli.settings import audit_files

    files = audit_files(data_dir)
    path, verifier = checkpoints or files.checkpoints, load_public(public_key or files.public_key)
    good, bad = list[Checkpoint](), list[Finding]()
    for number, one in enumerate(parse_checkpoints(path.read_bytes()), 1):
        try:
            if isinstance(one, DamagedCheckpoint):
                raise one
            check(one, verifier)
        except DamagedCheckpoint as error:
            bad.append(Finding(None, f"{path}, line {number}", str(error)))
        else:
            good.append(one)
    return good, bad
