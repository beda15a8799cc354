"""The ids of conversations and items, made from those of chats and messages.

OpenAI's clients and models know an item's type by how its id begins, and refuse another beginning.
"""

import re

from app.http.errors import NotFound
from app.http.references import ChatRef

# As OpenAI's own begin.
_PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "reasoning": "rs",
    "web_search_call": "ws",
    "file_search_call": "fs",
    "computer_call": "cu",
    "computer_call_output": "cuo",
    "code_interpreter_call": "ci",
    "image_generation_call": "ig",
    "local_shell_call": "lsh",
    "local_shell_call_output": "lsho",
    "shell_call": "sh",
    "shell_call_output": "sho",
    "apply_patch_call": "apc",
    "apply_patch_call_output": "apco",
    "mcp_list_tools": "mcpl",
    "mcp_approval_request": "mcpr",
    "mcp_approval_response": "mcpa",
    "mcp_call": "mcp",
    "tool_search_call": "tsc",
    "tool_search_output": "tso",
    "compaction": "cmp",
    "additional_tools": "at",
    "configuration_update": "cfg",
    "program": "prog",
    "program_output": "progo",
}
_CONVERSATION = re.compile(r"conv_([0-9a-f]{32})")
_ITEM = re.compile(r"[a-z]{1,16}_([0-9a-f]{32})(?:_([1-9][0-9]{0,4}))?")


def conversation_id(chat_id: object) -> str:
    """The id of the conversation that a chat is."""
    return f"conv_{str(chat_id).replace('-', '')}"


def chat_of(conversation: str) -> ChatRef:
    """The chat that a conversation's id names. Raises NotFound where it can name none."""
    if (match := _CONVERSATION.fullmatch(conversation)) is None:
        raise NotFound
    return ChatRef(_uuid(match[1]), None)


def item_id(kind: str, message_id: str, place: int) -> str:
    """The id of the item at a place, from 0, among those that a message gives."""
    said = f"{_PREFIXES.get(kind, 'item')}_{message_id.replace('-', '')}"
    return f"{said}_{place}" if place else said


def message_of(item: str) -> tuple[str, int]:
    """The `message_id` in an item's id, and the item's place there. Raises NotFound where it can name none."""
    if (match := _ITEM.fullmatch(item)) is None:
        raise NotFound
    return _uuid(match[1]), int(match[2] or 0)


def _uuid(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
