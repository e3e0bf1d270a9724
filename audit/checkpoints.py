"""Checkpoints: signed statements about the tree of batches, kept outside the database.

Whoever holds one can later prove that nothing before it was changed or cut off. They are lines of JSON in a file
that only grows; each is signed with Ed25519 (RFC 8032) by a key that the database never sees.
"""

import os
from base64 import b64decode, b64encode
from binascii import Error as NoBase64
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from hashlib import sha256
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from schemas.errors import TandemError


class UnusableKey(TandemError):
    """A file does not hold the key that is needed. Give the right file: `tandem audit key` makes one."""


class DamagedCheckpoint(TandemError):
    """A checkpoint cannot be read, or another key signed it. Restore the file, or give the key that signed it."""


class CheckpointsInUse(TandemError):
    """Another process adds to the same file of checkpoints. Stop one of the two."""


class Checkpoint(msgspec.Struct, frozen=True):
    """A signed statement about a tree."""

    log: str  #: id of the database's log
    size: int  #: batches
    root: str  #: of the tree over them, as hex
    signed_at: str  #: RFC 3339
    key: str  #: `key_name` of the key that signed
    signature: str  #: base64

    def text(self) -> bytes:
        """The bytes that are signed."""
        parts = ("tandem checkpoint 1", self.log, self.size, self.root, self.signed_at, self.key)
        return "".join(f"{part}\n" for part in parts).encode()


def make_key(path: Path) -> Ed25519PublicKey:
    """Make a key pair: the private key in `path`, with mode 0600, the public one beside it as `.pub`.

    Raises FileExistsError: no key is overwritten.
    """
    private = Ed25519PrivateKey.generate()
    public = private.public_key()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
    public_path(path).write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return public


def public_path(path: Path) -> Path:
    """Where the public key of a private one is."""
    return path.with_name(path.name + ".pub")


def load_private(path: Path) -> Ed25519PrivateKey:
    """Raises UnusableKey, OSError."""
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UnusableKey(f"{path} holds no private key in PEM: make one with `tandem audit key {path}`") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UnusableKey(f"the key in {path} is not an Ed25519 key: make one with `tandem audit key FILE`")
    return key


def load_public(path: Path) -> Ed25519PublicKey:
    """Raises UnusableKey, OSError."""
    try:
        key = load_pem_public_key(path.read_bytes())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UnusableKey(f"{path} holds no public key in PEM: name the .pub file of the signer's key") from error
    if not isinstance(key, Ed25519PublicKey):
        raise UnusableKey(f"the key in {path} is not an Ed25519 key: name the .pub file of the signer's key")
    return key


def key_name(key: Ed25519PublicKey) -> str:
    """The first 16 hex digits of the SHA-256 of a public key."""
    return sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


def sign(key: Ed25519PrivateKey, log: str, size: int, root: bytes, signed_at: str) -> Checkpoint:
    """A checkpoint of a tree."""
    unsigned = Checkpoint(
        log=log, size=size, root=root.hex(), signed_at=signed_at, key=key_name(key.public_key()), signature=""
    )
    return msgspec.structs.replace(unsigned, signature=b64encode(key.sign(unsigned.text())).decode())


def check(checkpoint: Checkpoint, key: Ed25519PublicKey) -> None:
    """Raises DamagedCheckpoint, unless the key signed it."""
    what = f"the checkpoint over {checkpoint.size} batches of {checkpoint.signed_at}, which names key {checkpoint.key},"
    check_signature(key, checkpoint.text(), checkpoint.signature, what)


def check_signature(key: Ed25519PublicKey, text: bytes, signature: str, what: str) -> None:
    """Raises DamagedCheckpoint, unless the key made the signature over the text."""
    try:
        raw = b64decode(signature, validate=True)
        key.verify(raw, text)
        if b64encode(raw).decode() != signature:
            raise InvalidSignature  # another base64 spelling of the same bytes
    except (InvalidSignature, NoBase64, ValueError, TypeError) as error:
        raise DamagedCheckpoint(
            f"{what} is not what key {key_name(key)} signed: it was changed, or the key is the wrong one"
        ) from error


def signature_of(key: Ed25519PrivateKey, text: bytes) -> dict[str, str]:
    """Who signed some bytes, and the signature."""
    return {"key": key_name(key.public_key()), "signature": b64encode(key.sign(text)).decode()}


def parse_checkpoints(text: bytes) -> Iterator[Checkpoint | DamagedCheckpoint]:
    """The checkpoint of each line, or what is wrong with it."""
    for line in text.split(b"\n"):
        if line:
            try:
                yield msgspec.json.decode(line, type=Checkpoint)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                yield DamagedCheckpoint(f"this is not a checkpoint: {error}")


def read_checkpoints(path: Path) -> list[Checkpoint]:
    """All checkpoints of a file, in order. Raises DamagedCheckpoint, OSError."""
    checkpoints = []
    for number, one in enumerate(parse_checkpoints(path.read_bytes()), 1):
        if isinstance(one, DamagedCheckpoint):
            raise DamagedCheckpoint(f"{path}, line {number}: {one}")
        checkpoints.append(one)
    return checkpoints


@contextmanager
def adding_to(path: Path) -> Iterator[int]:
    """A file descriptor that checkpoints are added to, by one process at a time. Raises CheckpointsInUse, OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        try:
            flock(descriptor, LOCK_EX | LOCK_NB)
        except BlockingIOError as error:
            raise CheckpointsInUse(f"another process adds checkpoints to {path}: name another file") from error
        yield descriptor
    finally:
        os.close(descriptor)


def add(descriptor: int, checkpoint: Checkpoint) -> None:
    """Add one, and wait until it is on disk."""
    os.write(descriptor, msgspec.json.encode(checkpoint) + b"\n")
    os.fsync(descriptor)
