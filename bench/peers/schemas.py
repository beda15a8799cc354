"""What both peers take and answer."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel


class NewMessage(BaseModel):
    """A message as it comes in."""

    role: Literal["user", "assistant", "system", "developer", "tool"]
    content: str


class StoredMessage(NewMessage):
    """A message as it was stored."""

    id: int
    chat_id: str
    created_at: datetime
