"""Branch reader: which messages of a branch can be sent to a model, and what a provider would refuse of them.

Context, lint and repair all use it, so that they cannot disagree. It reads backwards, since a context is the newest
part of a chat that may be very long.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from app.codecs.canonical import INSTRUCTION_ROLES, CanonicalMessage, ToolCall, ToolResult, split_steps
from app.codecs.parts import Part, Reasoning, parse_parts
from app.context.findings import Edit, Finding, Rule
from app.context.groups import AnsweredCall, MessageGroup, Step, sendable_message, sendable_parts

# How many messages of an assistant in a row may be one group: in more of them, results are of no calls.
_MAX_RUN = 256


@dataclass(slots=True)
class BranchReader:
    """Reads the messages of a branch, newest first. `findings` are in that order too."""

    findings: list[Finding] = field(default_factory=list)
    _open_results: list[ToolResult] = field(default_factory=list)  # results, newest first, whose call must come next
    _run: list[CanonicalMessage] = field(default_factory=list)  # messages of the assistant before them, newest first
    _orphans: dict[str, list[int]] = field(default_factory=dict)  # call id -> orphaned results, as indexes of findings
    _duplicates: dict[str, Finding] = field(default_factory=dict)  # call id -> the finding if it was used before
    _without_user: list[Finding] = field(default_factory=list)  # the findings if no user speaks before

    def read(self, fields: dict[str, Any]) -> list[MessageGroup]:
        """Reads the message before those that were read; gives the groups that are now complete, newest first.

        Messages of a type of their own, and those still being written, are passed over as if they were not there.
        """
        if fields.get("type", "message") != "message" or fields.get("status") == "in_progress":
            return []
        message = sendable_message(fields)
        self._find_malformed(message)
        if message.role == "assistant":
            return self._read_assistant(message)
        if message.role in INSTRUCTION_ROLES:
            if not message.parts:
                self._find_empty(message)
            return []
        if message.role == "tool":
            groups = self._close_run()
            self._open_results += reversed(message.results)
            return groups
        if not message.parts and not message.results:
            self._find_empty(message)
        groups = self._close_run() if message.parts or message.results else []
        if message.parts:
            self._find_orphaned_results(self._take_open_results())
            self._without_user.clear()
        self._open_results += reversed(message.results)
        return [*groups, MessageGroup((message,), (Step(message.parts),))] if message.parts else groups

    def read_all(self, messages: Iterable[dict[str, Any]]) -> None:
        """Reads messages, newest first, for their findings."""
        for message in messages:
            self.read(message)

    def end(self) -> list[MessageGroup]:
        """Ends the reading at the beginning of the branch; gives the groups that were still open, newest first."""
        groups = self._close_run()
        self._find_orphaned_results(self._take_open_results())
        self.findings += self._without_user
        self._without_user.clear()
        return groups

    def _read_assistant(self, message: CanonicalMessage) -> list[MessageGroup]:
        if not (message.parts or message.calls or message.results):
            # The run goes on: the open results may answer calls before this message.
            if not message.malformed and not has_reasoning(message):
                self._find_empty(message)
            return []
        self._run.append(message)
        return [] if self._is_missing_calls() else self._close_run()

    def _is_missing_calls(self) -> bool:
        """Whether open results wait for calls that may come before the messages of the run."""
        if not self._open_results or len(self._run) == _MAX_RUN:
            return False
        missing = Counter(result.call_id for result in self._open_results)
        missing.subtract(call.id for message in self._run for call in message.calls)
        return any(count > 0 for call_id, count in missing.items() if call_id)

    def _close_run(self) -> list[MessageGroup]:
        """Makes groups of the messages of the assistant that were read last, and matches calls with results.

        From the first that calls for a result after them they are one group; those before it are groups of their own.
        """
        run, self._run = self._run[::-1], []
        if not run:
            return []
        open_results = self._open_results[::-1]
        steps: list[list[Step]] = []  # those of each message; the last one calls for the open results
        for message in run:
            message_steps, open_results = self._steps(message, open_results)
            steps.append(message_steps)
        first = next((index for index, message_steps in enumerate(steps) if message_steps[-1].calls), len(run))
        ranges = [range(index, index + 1) for index in range(first)] + [range(first, len(run))]
        groups = [
            MessageGroup(tuple(run[index] for index in indexes if _merge_steps([steps[index]])), merged)
            for indexes in ranges
            if (merged := _merge_steps([steps[index] for index in indexes]))
        ]
        if groups:
            self._open_results.clear()
            self._find_orphaned_results(open_results)
        for group in reversed(groups):
            self._remember(group)
        return groups[::-1]

    def _steps(self, message: CanonicalMessage, open_results: list[ToolResult]) -> tuple[list[Step], list[ToolResult]]:
        """The steps of a message, the last one with the open results that are its own; and those still open."""
        steps: list[Step] = []
        parts: tuple[Part, ...] = ()
        calls: list[ToolCall] = []
        for step in split_steps(message):
            parts = sendable_parts(step.parts)
            if not step.results:
                calls += step.calls
                continue
            answered, unanswered, orphans = _match(message, step.calls, list(step.results))
            self._find_orphaned_results(orphans)
            steps.append(Step(parts, answered))
            calls += unanswered
            parts = ()
        answered, unanswered, open_results = _match(message, calls, open_results)
        for call in unanswered:
            self._find_orphaned_call(message, call)
        return [*steps, Step(parts, answered)], open_results

    def _take_open_results(self) -> list[ToolResult]:
        results, self._open_results = self._open_results[::-1], []
        return results

    def _remember(self, group: MessageGroup) -> None:
        """Keeps the findings of a group that apply if its calls' ids, or no user, turn up before it."""
        for answered in reversed(group.calls):
            call_id = answered.call.id
            if call_id in self._duplicates:
                self.findings.append(self._duplicates[call_id])
            self._duplicates[call_id] = _duplicate_id(answered)
        self._without_user += _before_first_user(group)

    def _find_malformed(self, message: CanonicalMessage) -> None:
        for position in message.malformed:
            detail = "A tool call has no id, no name, or another shape than a tool call has."
            self._find("malformed_tool_call", message, detail, Edit(message.seq, "drop", position))

    def _find_empty(self, message: CanonicalMessage) -> None:
        edit = Edit(message.seq, "retype", value="empty")
        self._find("empty_content", message, "It says nothing that can be sent.", edit)

    def _find_orphaned_call(self, message: CanonicalMessage, call: ToolCall) -> None:
        detail = f"The call {_quote(call.id)} has no result directly after it."
        self._find("orphaned_tool_call", message, detail, Edit(message.seq, "drop", call.position))
        for index in self._orphans.pop(call.id, ()):
            detail = f"It answers the call {_quote(call.id)}, but does not come directly after it."
            self.findings[index] = replace(self.findings[index], rule="misplaced_tool_result", detail=detail)

    def _find_orphaned_results(self, results: list[ToolResult]) -> None:
        for result in reversed(results):
            call = f"the call {_quote(result.call_id)}" if result.call_id else "no call"
            edit = _drop_result(result, "orphaned_tool_result")
            self._orphans.setdefault(result.call_id, []).append(len(self.findings))
            self._find("orphaned_tool_result", result.message, f"It answers {call}, which is not before it.", edit)

    def _find(self, rule: Rule, message: CanonicalMessage, detail: str, edit: Edit) -> None:
        self.findings.append(Finding(rule, message.message_id, message.seq, detail, (edit,)))


def has_reasoning(message: CanonicalMessage) -> bool:
    """Whether a message has reasoning, and so is not empty, though nothing of it can be sent."""
    return any(isinstance(part, Reasoning) for part in parse_parts(message.fields.get("content")))


def _match(
    message: CanonicalMessage, calls: Iterable[ToolCall], results: list[ToolResult]
) -> tuple[tuple[AnsweredCall, ...], list[ToolCall], list[ToolResult]]:
    """Calls of a message with their results, both in order; the calls that have none, and the results that are left."""
    answered: list[AnsweredCall] = []
    unanswered: list[ToolCall] = []
    for call in calls:
        result = next((result for result in results if result.call_id == call.id), None)
        if result is None:
            unanswered.append(call)
        else:
            results = [other for other in results if other is not result]
            answered.append(AnsweredCall(message, call, result))
    return tuple(answered), unanswered, results


def _merge_steps(steps: list[list[Step]]) -> tuple[Step, ...]:
    """The steps of messages in a row, whose last ones become one; without those that say nothing."""
    before = [step for message_steps in steps for step in message_steps[:-1]]
    last = Step(
        tuple(part for message_steps in steps for part in message_steps[-1].parts),
        tuple(call for message_steps in steps for call in message_steps[-1].calls),
    )
    return tuple(step for step in (*before, last) if step.parts or step.calls)


def _duplicate_id(answered: AnsweredCall) -> Finding:
    message, call, result = answered.message, answered.call, answered.result
    call_id = "call_" + hashlib.sha256(f"{message.message_id} {call.position}".encode()).hexdigest()[:24]
    edits = (
        Edit(message.seq, "rename", call.position, call_id),
        Edit(result.message.seq, "rename", result.position, call_id),
    )
    detail = f"The call id {_quote(call.id)} was used before."
    return Finding("duplicate_call_id", message.message_id, message.seq, detail, edits)


def _before_first_user(group: MessageGroup) -> Iterator[Finding]:
    """The findings of a group that no user speaks before, its last message first."""
    detail = "It comes before the first message of the user."
    seqs = {message.seq for message in group.messages}
    results = [call.result for call in group.calls if call.result.message.seq not in seqs]
    edits = [(result.message, _drop_result(result, "preamble")) for result in reversed(results)]
    edits += [(message, Edit(message.seq, "retype", value="preamble")) for message in reversed(group.messages)]
    for message, edit in edits:
        yield Finding("before_first_user", message.message_id, message.seq, detail, (edit,))


def _drop_result(result: ToolResult, message_type: str) -> Edit:
    """Drops a result that is a block of its message; a message that is a result gets another type."""
    if result.position is None:
        return Edit(result.message.seq, "retype", value=message_type)
    return Edit(result.message.seq, "drop", result.position)


def _quote(call_id: str) -> str:
    return repr(call_id if len(call_id) <= 64 else call_id[:63] + "…")
