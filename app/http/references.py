"""How a path names a chat (by its UUID, or by `key:<key>`) and a message (by its UUID, its `seq` or `key:<key>`)."""

import re
from dataclasses import dataclass
from typing import Annotated

from fastapi import Path

from app.http.errors import NotFound
from app.http.middleware import ENCODED_SLASH

MAX_KEY = 255
KEY_PREFIX = "key:"

_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


ChatPath = Annotated[
    str,
    Path(
        alias="chat",
        description="A chat's UUID, or `key:` and its key, percent-encoded.",
        examples=["01932c07-1f3e-7000-8000-abcdef012345", "key:feishu:group:user123"],
    ),
]
MessagePath = Annotated[
    str,
    Path(
        alias="message",
        description="A message's `message_id`, its `seq`, or `key:` and its key, percent-encoded.",
        examples=["1", "01932c07-209c-7000-8000-1234567890ab", "key:slack:1738324800.000100"],
    ),
]


@dataclass(frozen=True, slots=True)
class ChatRef:
    """A chat by `chat_id` or by `key`; the other one is None."""

    chat_id: str | None
    key: str | None

    @property
    def column(self) -> tuple[str, str | None]:
        """The column of `chats` by which it names a chat, and the value there."""
        return ("key", self.key) if self.key is not None else ("chat_id", self.chat_id)

    @property
    def name(self) -> str:
        """The chat as cursors are bound to it: by what the caller named it."""
        return self.chat_id or f"key:{self.key}"

    @classmethod
    def parse(cls, text: str) -> "ChatRef":
        """The chat that a path segment (percent-decoded) names. Raises NotFound where it can name none."""
        if text.startswith(KEY_PREFIX):
            return cls(None, parse_key(text))
        if _UUID.fullmatch(text):
            return cls(text.lower(), None)
        raise NotFound


def parse_key(text: str) -> str:
    """The key in a path segment (percent-decoded) that begins with `key:`. Raises NotFound for what can be none."""
    key = text.removeprefix(KEY_PREFIX).replace(ENCODED_SLASH, "/")
    if is_key(key):
        return key
    raise NotFound


def is_key(text: str) -> bool:
    """Whether a text can be the key of a chat or a message: 1 to 255 characters, none of them a control character."""
    return 0 < len(text) <= MAX_KEY and not _CONTROL.search(text)


def is_uuid(text: str) -> bool:
    """Whether a text is a UUID as we write them."""
    return _UUID.fullmatch(text) is not None
