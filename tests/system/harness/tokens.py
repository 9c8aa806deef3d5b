"""Tokens as a backend would sign them."""

import base64
import hashlib
import hmac
import json
import pathlib
import subprocess
import time

from .sdk import PROGRAMS

SECRET = "a-secret-of-the-tests-with-32-bytes-and-more"


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims_of(*tables, seconds: float = 3600, **claims) -> dict:
    """`tables` is the claim of that name."""
    return {"sub": "anna", "exp": time.time() + seconds, "tables": list(tables), **claims}


def token(*tables, secret: str = SECRET, kid: str | None = None, alg: str = "HS256", **claims) -> str:
    """Signed with HMAC and SHA-256, whatever algorithm it names."""
    head = {"alg": alg, "typ": "JWT", **({"kid": kid} if kid else {})}
    text = _part(json.dumps(head).encode()) + "." + _part(json.dumps(claims_of(*tables, **claims)).encode())
    return text + "." + _part(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest())


class Signer:
    """Of RS256 or ES256; `pem` and `jwk` are its public key."""

    def __init__(self, alg: str, kid: str):
        self.child = subprocess.Popen(["node", str(PROGRAMS / "sign.mjs"), alg, kid], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")
        assert self.child.stdout
        made = json.loads(self.child.stdout.readline())
        self.pem, self.jwk = made["pem"], made["jwk"]

    def token(self, *tables, **claims) -> str:
        assert self.child.stdin and self.child.stdout
        self.child.stdin.write(json.dumps(claims_of(*tables, **claims)) + "\n")
        self.child.stdin.flush()
        return self.child.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        assert self.child.stdin
        self.child.stdin.close()
        self.child.wait(10)


def jwks(path: pathlib.Path, *public: dict, **secrets: str) -> None:
    """Writes a key set of public keys, and secrets by name, the way a careful tool does: whole or not at all."""
    keys = [*public, *({"kty": "oct", "kid": kid, "alg": "HS256", "k": _part(secret.encode())} for kid, secret in secrets.items())]
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps({"keys": keys}), encoding="utf-8")
    beside.replace(path)
