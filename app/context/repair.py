"""What to change in a branch so that a provider takes it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.context.lint import lint
from app.context.reading import Edit, Finding, spoken, thinks


@dataclass(frozen=True, slots=True)
class Repair:
    """The changes of a message: columns by name, such as `tool_calls`, `content`, `tool_call_id` and `type`."""

    seq: int
    changes: dict[str, Any]


def repair(messages: Sequence[dict[str, Any]]) -> tuple[list[Finding], list[Repair]]:
    """The findings of a branch, whose messages come in order, and the changes after which there are none."""
    findings = lint(messages)
    edits: dict[int, list[Edit]] = {}
    for finding in findings:
        for edit in finding.edits:
            edits.setdefault(edit.seq, []).append(edit)
    found = {message["seq"]: message for message in messages if message["seq"] in edits}
    return findings, [Repair(seq, _changes(found[seq], edits[seq])) for seq in sorted(edits)]


def _changes(message: dict[str, Any], edits: list[Edit]) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for name in ("tool_calls", "content"):
        ours = [edit for edit in edits if edit.place is not None and edit.place[0] == name]
        if ours:
            changes[name] = _mended(message[name], ours) or ([] if name == "content" else None)
    for edit in edits:
        if edit.place is None and edit.action == "rename":
            changes["tool_call_id"] = edit.value
        elif edit.action == "retype":
            changes["type"] = edit.value
    left = spoken({**message, **changes})
    if "type" not in changes and not (
        left.parts or left.calls or thinks(left) or any(one.call_id for one in left.results)
    ):
        changes["type"] = "empty"
        if spoken(message).results:
            # They stay to be shown.
            changes = {"type": "orphaned_tool_result"}
    return changes


def _mended(entries: list[dict[str, Any]], edits: list[Edit]) -> list[dict[str, Any]]:
    dropped = {edit.place for edit in edits if edit.action == "drop"}
    names = {edit.place: edit.value for edit in edits if edit.action == "rename"}
    mended = []
    for index, entry in enumerate(entries):
        place = (edits[0].place or ("", 0))[0], index
        if place not in dropped:
            mended.append({**entry, _key(entry): names[place]} if place in names else entry)
    return mended


def _key(entry: dict[str, Any]) -> str:
    """Under which name a call or a result has its call id."""
    if entry.get("type") == "tool_result":
        return "tool_use_id"
    return "id" if entry.get("id") else "call_id"
