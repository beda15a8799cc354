"""API keys as texts: generates and recognises them. A key is `ck_` and 43 characters, 256 random bits."""

import base64
import hashlib
import hmac
import re
import secrets

PREFIX = "ck_"
_KEY = re.compile(rb"ck_[A-Za-z0-9_-]{43}")


def make() -> str:
    """A new random key."""
    return PREFIX + secrets.token_urlsafe(32)


def derive(token: bytes, key_id: str, idempotency_key: str) -> str:
    """The key that a retried request gets again although nobody stored it.

    HMAC-SHA256 under the bearer token of who asked for it: as hard to guess as that token, and the same only for it.
    """
    digest = hmac.digest(token, f"{key_id}\0{idempotency_key}".encode(), "sha256")
    return PREFIX + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def looks_like_key(token: bytes) -> bool:
    """Whether a bearer token has the form of an API key."""
    return _KEY.fullmatch(token) is not None


def sha256(key: str) -> str:
    """What is stored of a key: the SHA-256 of its text, in hex. Random keys need no salt and no slow hash."""
    return hashlib.sha256(key.encode()).hexdigest()


def hint(key: str) -> str:
    """The beginning of a key, by which its owner knows it again; the 24 bits shown help nobody to guess the rest."""
    return key[:7] + "…"
