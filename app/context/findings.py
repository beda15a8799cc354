"""Findings of lint: what a provider would refuse in a branch, and the edits that mend it."""

from dataclasses import dataclass
from typing import Literal

from app.codecs.canonical import Position

Rule = Literal[
    "orphaned_tool_call",
    "orphaned_tool_result",
    "misplaced_tool_result",
    "duplicate_call_id",
    "malformed_tool_call",
    "empty_content",
    "before_first_user",
]


@dataclass(frozen=True, slots=True)
class Edit:
    """One change that mends a message: something is dropped, gets another call id, or the whole gets another type."""

    seq: int
    action: Literal["drop", "rename", "retype"]
    position: Position = None
    value: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a provider would refuse: the rule, the message, what about it, and what would mend it."""

    rule: Rule
    message_id: str
    seq: int
    detail: str
    edits: tuple[Edit, ...]
