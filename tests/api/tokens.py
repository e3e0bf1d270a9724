"""An issuer for tests: its keys, the file that it publishes them in, and the tokens that it signs."""

import json
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ISSUER, AUDIENCE = "https://issuer.example", "tandem"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
FOREIGN = ec.generate_private_key(ec.SECP256R1())

#: Key id -> (algorithm, private key, how its public half is written)
KEYS: dict[str, tuple[str, Any, Any]] = {
    "rsa": ("RS256", RSA, RSAAlgorithm),
    "ec": ("ES256", EC, ECAlgorithm),
    "ed": ("EdDSA", ED, OKPAlgorithm),
}


def published(*kids: str) -> dict[str, Any]:
    """The key set."""
    named = {kid: KEYS[kid] for kid in kids or KEYS}
    return {"keys": [{**json.loads(how.to_jwk(key.public_key())), "kid": kid} for kid, (_, key, how) in named.items()]}


def publish(path: Path, *kids: str) -> str:
    """Write the key set to a file. Returns its name."""
    path.write_text(json.dumps(published(*kids)), "utf-8")
    return str(path)


def token(*roles: str, kid: str = "ec", key: Any = None, algorithm: str | None = None, **claims: Any) -> str:
    """A token of somebody with these roles. A claim of None is left out."""
    said = {"iss": ISSUER, "aud": AUDIENCE, "sub": "rosa", "exp": time.time() + 600, "roles": list(roles), **claims}
    said = {name: value for name, value in said.items() if value is not None}
    named, own, _ = KEYS[kid]
    return jwt.encode(said, key or own, algorithm=algorithm or named, headers={"kid": kid})


def bearer(credentials: str) -> dict[str, str]:
    """The header that carries them."""
    return {"Authorization": f"Bearer {credentials}"}
