"""Items as they are answered: with an id of ours, and with what OpenAI's clients insist on."""

from collections.abc import Callable
from typing import Any

from app.openai_api.ids import item_id

Json = dict[str, Any]

# The types whose status is never missing in an answer. An item may have come without one.
_HAVE_A_STATUS = frozenset(
    {
        "message",
        "function_call",
        "function_call_output",
        "file_search_call",
        "web_search_call",
        "image_generation_call",
        "computer_call",
        "computer_call_output",
        "tool_search_call",
        "tool_search_output",
        "program_output",
        "code_interpreter_call",
        "local_shell_call",
        "shell_call",
        "shell_call_output",
        "apply_patch_call",
        "apply_patch_call_output",
    }
)
# What a message's status is called there.
_STATUSES = {"in_progress": "in_progress", "incomplete": "incomplete", "failed": "incomplete"}


def shown(item: Json, message_id: str, place: int = 0, status: str | None = None, *, came: bool = False) -> Json:
    """An item of the codec `responses` as it is answered, the one at a place among those of its message.

    `status` is the message's. `came` says that somebody sent the item as it is: then what it has is left as it is, but
    for its id. An item of a type that we do not know gets nothing but the id.
    """
    kind = item.get("type") or "message"
    its_own: Json = {"id": item_id(kind, message_id, place), "type": kind}
    made = {**its_own, **item, **its_own}
    if kind in _HAVE_A_STATUS and made.get("status") is None:
        made["status"] = _STATUSES.get(status or "", "completed")
    if (complete := _COMPLETIONS.get(kind)) is not None:
        complete(made)
    if not came and kind == "message":
        made["content"] = [_with_logprobs(part) for part in made["content"]]
    return made


def _message(made: Json) -> None:
    content = made.get("content")
    if isinstance(content, str):
        made["content"] = [_text(made.get("role"), content)]
    else:
        made["content"] = _parts(content)


def _with_logprobs(part: Json) -> Json:
    return part | {"logprobs": []} if part["type"] == "output_text" and "logprobs" not in part else part


def _text(role: Any, text: str) -> Json:
    if role == "assistant":
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "input_text", "text": text}


def _parts(content: Any) -> list[Any]:
    if not isinstance(content, list):
        return []
    return [_part(one) if isinstance(one, dict) else one for one in content]


def _part(part: Json) -> Json:
    match part.get("type"):
        case "output_text" if part.get("annotations") is None:
            return part | {"annotations": []}
        case "input_image" | "computer_screenshot" if part.get("detail") is None:
            return part | {"detail": "auto"}
    return part


def _result(made: Json) -> None:
    if isinstance(made.get("output"), list):
        made["output"] = _parts(made["output"])


def _reasoning(made: Json) -> None:
    if made.get("summary") is None:
        made["summary"] = []


def _tool_search(made: Json) -> None:
    if made.get("execution") is None:
        made["execution"] = "server" if made.get("call_id") is None else "client"


_COMPLETIONS: dict[str, Callable[[Json], None]] = {
    "message": _message,
    "function_call_output": _result,
    "custom_tool_call_output": _result,
    "reasoning": _reasoning,
    "tool_search_call": _tool_search,
    "tool_search_output": _tool_search,
}
