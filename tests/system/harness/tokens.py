"""Tokens as a backend would sign them."""

import base64
import hashlib
import hmac
import json
import pathlib
import time

SECRET = "a-secret-of-the-tests-with-32-bytes-and-more"


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(*tables, seconds: float = 3600, secret: str = SECRET, **claims) -> str:
    """HS256. `tables` is the claim of that name."""
    made = {"sub": "anna", "exp": time.time() + seconds, "tables": list(tables), **claims}
    text = _part(b'{"alg":"HS256","typ":"JWT"}') + "." + _part(json.dumps(made).encode())
    return text + "." + _part(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest())


def jwks(path: pathlib.Path, **secrets: str) -> None:
    """Writes a key set with a secret by name, the way a careful tool does: whole or not at all."""
    keys = [{"kty": "oct", "kid": kid, "alg": "HS256", "k": _part(secret.encode())} for kid, secret in secrets.items()]
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps({"keys": keys}), encoding="utf-8")
    beside.replace(path)
