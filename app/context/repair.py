"""Lint and repair: what of a branch a provider would refuse, and the changes of messages after which it is taken."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.context.branch_reader import BranchReader, has_reasoning
from app.context.findings import Edit, Finding
from app.context.groups import sendable_message


@dataclass(frozen=True, slots=True)
class Repair:
    """The changes of a message: columns by name, such as `tool_calls`, `content`, `tool_call_id` and `type`."""

    seq: int
    changes: dict[str, Any]


def lint(messages: Sequence[dict[str, Any]]) -> list[Finding]:
    """The findings of a branch, whose messages come in order, in that order."""
    reader = BranchReader()
    reader.read_all(reversed(messages))
    reader.end()
    return sorted(reader.findings, key=lambda finding: finding.seq)


def repair(messages: Sequence[dict[str, Any]]) -> tuple[list[Finding], list[Repair]]:
    """The findings of a branch, whose messages come in order, and the changes after which there are none."""
    findings = lint(messages)
    edits: dict[int, list[Edit]] = {}
    for finding in findings:
        for edit in finding.edits:
            edits.setdefault(edit.seq, []).append(edit)
    by_seq = {message["seq"]: message for message in messages if message["seq"] in edits}
    return findings, [Repair(seq, _changes(by_seq[seq], edits[seq])) for seq in sorted(edits)]


def _changes(message: dict[str, Any], edits: list[Edit]) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for column in ("tool_calls", "content"):
        column_edits = [edit for edit in edits if edit.position is not None and edit.position[0] == column]
        if column_edits:
            entries = _edit_entries(column, message[column], column_edits)
            changes[column] = entries or ([] if column == "content" else None)
    for edit in edits:
        if edit.position is None and edit.action == "rename":
            changes["tool_call_id"] = edit.value
        elif edit.action == "retype":
            changes["type"] = edit.value
    changed = sendable_message({**message, **changes})
    has_result = any(result.call_id for result in changed.results)
    if "type" not in changes and not (changed.parts or changed.calls or has_reasoning(changed) or has_result):
        changes["type"] = "empty"
        if sendable_message(message).results:
            # Keep the results, so that they can still be shown.
            changes = {"type": "orphaned_tool_result"}
    return changes


def _edit_entries(column: str, entries: list[dict[str, Any]], edits: list[Edit]) -> list[dict[str, Any]]:
    """The entries of a column after edits of it. An entry that is dropped needs no new call id."""
    dropped = {edit.position for edit in edits if edit.action == "drop"}
    call_ids = {edit.position: edit.value for edit in edits if edit.action == "rename"}
    edited = []
    for index, entry in enumerate(entries):
        position = column, index
        if position not in dropped:
            edited.append({**entry, _id_field(entry): call_ids[position]} if position in call_ids else entry)
    return edited


def _id_field(entry: dict[str, Any]) -> str:
    """The field of a call or a result that has its call id."""
    if entry.get("type") == "tool_result":
        return "tool_use_id"
    return "id" if entry.get("id") else "call_id"
