"""The ids of conversations and items, derived from those of chats and messages.

OpenAI's clients and models tell an item's type by the prefix of its id, and refuse another prefix.
"""

import re

from app.http.errors import NotFound
from app.http.references import ChatRef

# OpenAI's own prefixes.
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
    """The conversation's id of a chat."""
    return f"conv_{str(chat_id).replace('-', '')}"


def chat_of(conversation: str) -> ChatRef:
    """The chat that a conversation's id names. Raises NotFound where it can name none."""
    if (match := _CONVERSATION.fullmatch(conversation)) is None:
        raise NotFound
    return ChatRef(_uuid(match[1]), None)


def item_id(kind: str, message_id: str, index: int) -> str:
    """The id of an item by its type, its message and its index, from 0, among the items of that message."""
    first_id = f"{_PREFIXES.get(kind, 'item')}_{message_id.replace('-', '')}"
    return f"{first_id}_{index}" if index else first_id


def message_of(item: str) -> tuple[str, int]:
    """The `message_id` in an item's id, and the item's index there. Raises NotFound where it can name none."""
    if (match := _ITEM.fullmatch(item)) is None:
        raise NotFound
    return _uuid(match[1]), int(match[2] or 0)


def _uuid(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
