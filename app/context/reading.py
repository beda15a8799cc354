"""Reads a branch from its end: which of it can be said to a model, and what a provider would refuse.

Context, lint and repair all stand on this one reading, so that they cannot disagree. It goes backwards, since a context
is the newest part of a chat that may be very long.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from app.messages.said import INSTRUCTING, Call, Place, Result, Said, said

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
    place: Place = None
    value: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a provider would refuse: the rule, the message, what about it, and what would mend it."""

    rule: Rule
    message_id: str
    seq: int
    detail: str
    edits: tuple[Edit, ...]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A call with its result."""

    call: Call
    result: Result


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """What is sent together or not at all: a message, and if it calls tools, each call with its result."""

    said: Said
    exchanges: tuple[Exchange, ...] = ()

    @property
    def is_user(self) -> bool:
        """Whether a turn can begin here."""
        return self.said.role == "user"

    @property
    def seqs(self) -> set[int]:
        """The messages that it is made of."""
        return {self.said.seq, *(exchange.result.said.seq for exchange in self.exchanges)}


@dataclass(slots=True)
class Reading:
    """A reading of a branch; `read` is given its messages newest first. `findings` are in that order too."""

    findings: list[Finding] = field(default_factory=list)
    _waiting: list[Result] = field(default_factory=list)  # results, newest first, whose call must come next
    _strays: dict[str, list[int]] = field(default_factory=dict)  # call id -> orphaned results, as places in findings
    _later: dict[str, Finding] = field(default_factory=dict)  # call id -> what to say if it was used before
    _since_user: list[Finding] = field(default_factory=list)  # what to say if no user speaks before

    def read(self, message: dict[str, Any]) -> Unit | None:
        """Reads the message before those that were read; gives what can be sent of it, with the results it waited for.

        Messages of a type of their own, and those still being written, are passed over as if they were not there.
        """
        if message.get("type", "message") != "message" or message.get("status") == "in_progress":
            return None
        one = said(message)
        self._malformed(one)
        if one.role == "tool":
            self._waiting += one.results
            return None
        if one.role == "assistant":
            return self._assistant(one)
        if not one.parts and not one.results:
            self._empty(one)
        if one.role in INSTRUCTING:
            return None
        if one.parts:
            self._orphan(self._take_waiting())
            self._since_user.clear()
        self._waiting += reversed(one.results)
        return Unit(one) if one.parts else None

    def read_all(self, messages: Iterable[dict[str, Any]]) -> None:
        """Reads messages, newest first, for what is to be said of them."""
        for message in messages:
            self.read(message)

    def end(self) -> None:
        """Says that there is nothing before what was read."""
        self._orphan(self._take_waiting())
        self.findings += self._since_user
        self._since_user.clear()

    def _assistant(self, one: Said) -> Unit | None:
        waiting = self._waiting[::-1]
        exchanges = []
        for call in one.calls:
            result = next((result for result in waiting if result.call_id == call.id), None)
            if result is None:
                self._unanswered(one, call)
            else:
                waiting = [other for other in waiting if other is not result]
                exchanges.append(Exchange(call, result))
        if not exchanges and not one.parts:
            # Nothing is left of it, so that the results may answer what is before it.
            if not one.calls and not one.malformed:
                self._empty(one)
            return None
        self._waiting.clear()
        self._orphan(waiting)
        unit = Unit(one, tuple(exchanges))
        self._remember(unit)
        return unit

    def _take_waiting(self) -> list[Result]:
        waiting, self._waiting = self._waiting[::-1], []
        return waiting

    def _remember(self, unit: Unit) -> None:
        """Keeps what must be said of a unit if its calls' ids, or no user, turn up before it."""
        one = unit.said
        for exchange in reversed(unit.exchanges):
            call_id = exchange.call.id
            if call_id in self._later:
                self.findings.append(self._later[call_id])
            self._later[call_id] = _duplicate(one, exchange)
        self._since_user += _before_user(unit)

    def _malformed(self, one: Said) -> None:
        for place in one.malformed:
            detail = "A tool call has no id, no name, or another shape than a tool call has."
            self._find("malformed_tool_call", one, detail, Edit(one.seq, "drop", place))

    def _empty(self, one: Said) -> None:
        self._find("empty_content", one, "It says nothing that can be sent.", Edit(one.seq, "retype", value="empty"))

    def _unanswered(self, one: Said, call: Call) -> None:
        detail = f"The call {_short(call.id)} has no result directly after it."
        self._find("orphaned_tool_call", one, detail, Edit(one.seq, "drop", call.place))
        for index in self._strays.pop(call.id, ()):
            detail = f"It answers the call {_short(call.id)}, but does not come directly after it."
            self.findings[index] = replace(self.findings[index], rule="misplaced_tool_result", detail=detail)

    def _orphan(self, results: Iterable[Result]) -> None:
        for result in reversed(list(results)):
            called = f"the call {_short(result.call_id)}" if result.call_id else "no call"
            edit = Edit(result.said.seq, "drop", result.place)
            if result.place is None:
                edit = Edit(result.said.seq, "retype", value="orphaned_tool_result")
            self._strays.setdefault(result.call_id, []).append(len(self.findings))
            self._find("orphaned_tool_result", result.said, f"It answers {called}, which is not before it.", edit)

    def _find(self, rule: Rule, one: Said, detail: str, *edits: Edit) -> None:
        self.findings.append(Finding(rule, one.message_id, one.seq, detail, edits))


def _duplicate(one: Said, exchange: Exchange) -> Finding:
    call, result = exchange.call, exchange.result
    fresh = "call_" + hashlib.sha256(f"{one.message_id} {call.place}".encode()).hexdigest()[:24]
    edits = (Edit(one.seq, "rename", call.place, fresh), Edit(result.said.seq, "rename", result.place, fresh))
    return Finding(
        "duplicate_call_id", one.message_id, one.seq, f"The call id {_short(call.id)} was used before.", edits
    )


def _before_user(unit: Unit) -> Iterable[Finding]:
    """What to say of a unit that no user spoke before, of its last message first."""
    detail = "It comes before the first message of the user."
    for exchange in reversed(unit.exchanges):
        result = exchange.result
        edit = Edit(result.said.seq, "drop", result.place)
        if result.place is None:
            edit = Edit(result.said.seq, "retype", value="preamble")
        yield Finding("before_first_user", result.said.message_id, result.said.seq, detail, (edit,))
    one = unit.said
    edit = Edit(one.seq, "retype", value="preamble")
    yield Finding("before_first_user", one.message_id, one.seq, detail, (edit,))


def _short(call_id: str) -> str:
    return repr(call_id if len(call_id) <= 64 else call_id[:63] + "…")
