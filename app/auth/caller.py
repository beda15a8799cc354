"""Callers and their scopes."""

import re
from dataclasses import dataclass
from typing import Literal

Scope = Literal["chats:read", "chats:write", "admin"]

CHATS_READ: Scope = "chats:read"
CHATS_WRITE: Scope = "chats:write"
ADMIN: Scope = "admin"
SCOPES = (CHATS_READ, CHATS_WRITE, ADMIN)

MAX_USER_ID = 255
# Control characters would break log lines and headers; Postgres stores no NUL, and UTF-8 has no lone surrogates.
_USER_ID = re.compile(rf"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{{1,{MAX_USER_ID}}}")


@dataclass(frozen=True, slots=True)
class Caller:
    """Someone whose key or token was verified.

    Attributes:
        user_id: the user it acts for; None for a service key that named nobody.
        scopes: what it may do.
        principal: who it is, for logs and the audit: `key:<key_id>`, `admin-key` or `user:<user id>`. Never a secret.
    """

    user_id: str | None
    scopes: frozenset[str]
    principal: str


@dataclass(frozen=True, slots=True)
class User(Caller):
    """A caller that acts for a user."""

    user_id: str


def is_user_id(value: object) -> bool:
    """Whether this can name a user: a text of 1 to 255 characters, no control characters, no lone surrogates."""
    return isinstance(value, str) and _USER_ID.fullmatch(value) is not None
