"""Response items: adds the id of an item and the fields that OpenAI's clients insist on."""

from collections.abc import Callable
from typing import Any

from app.openai_api.ids import item_id

Json = dict[str, Any]

# Types whose items always have a status in a response. An item may be sent without one.
_TYPES_WITH_STATUS = frozenset(
    "message function_call function_call_output file_search_call web_search_call image_generation_call computer_call "
    "computer_call_output tool_search_call tool_search_output program_output code_interpreter_call local_shell_call "
    "shell_call shell_call_output apply_patch_call apply_patch_call_output".split()
)
# A message's status, by the name that OpenAI has for it.
_STATUSES = {"in_progress": "in_progress", "incomplete": "incomplete", "failed": "incomplete"}


def to_openai_item(
    item: Json, message_id: str, index: int = 0, status: str | None = None, *, was_sent: bool = False
) -> Json:
    """An item of the codec `responses` in the form in which it is answered.

    Args:
        index: its index among the items of its message, from 0.
        status: the message's.
        was_sent: whether a client sent the item in this form: then only its id changes, and fields that are missing.

    An item of an unknown type gets nothing but the id.
    """
    kind = item.get("type") or "message"
    identity: Json = {"id": item_id(kind, message_id, index), "type": kind}
    item = {**identity, **item, **identity}
    if kind in _TYPES_WITH_STATUS and item.get("status") is None:
        item["status"] = _STATUSES.get(status or "", "completed")
    if (complete := _COMPLETIONS.get(kind)) is not None:
        complete(item)
    if not was_sent and kind == "message":
        item["content"] = [_with_logprobs(part) for part in item["content"]]
    return item


def _message(item: Json) -> None:
    content = item.get("content")
    item["content"] = [_text(item.get("role"), content)] if isinstance(content, str) else _parts(content)


def _with_logprobs(part: Json) -> Json:
    return part | {"logprobs": []} if part["type"] == "output_text" and "logprobs" not in part else part


def _text(role: Any, text: str) -> Json:
    if role == "assistant":
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "input_text", "text": text}


def _parts(content: Any) -> list[Any]:
    if not isinstance(content, list):
        return []
    return [_part(part) if isinstance(part, dict) else part for part in content]


def _part(part: Json) -> Json:
    match part.get("type"):
        case "output_text" if part.get("annotations") is None:
            return part | {"annotations": []}
        case "input_image" | "computer_screenshot" if part.get("detail") is None:
            return part | {"detail": "auto"}
    return part


def _result(item: Json) -> None:
    if isinstance(item.get("output"), list):
        item["output"] = _parts(item["output"])


def _reasoning(item: Json) -> None:
    if item.get("summary") is None:
        item["summary"] = []


def _tool_search(item: Json) -> None:
    if item.get("execution") is None:
        item["execution"] = "server" if item.get("call_id") is None else "client"


_COMPLETIONS: dict[str, Callable[[Json], None]] = {
    "message": _message,
    "function_call_output": _result,
    "custom_tool_call_output": _result,
    "reasoning": _reasoning,
    "tool_search_call": _tool_search,
    "tool_search_output": _tool_search,
}
