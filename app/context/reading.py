"""Reads a branch from its end: which of it can be said to a model, and what a provider would refuse.

Context, lint and repair all stand on this one reading, so that they cannot disagree. It goes backwards, since a context
is the newest part of a chat that may be very long.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from app.codecs.parts import Part, Reasoning, Refusal, Text, parts_of
from app.codecs.said import INSTRUCTING, Call, Place, Result, Said, said, steps

# How many messages of an assistant in a row may be one: in more of them, results are of no calls.
_LONGEST_RUN = 256

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
    """A call with its result. `said` is the message that calls."""

    said: Said
    call: Call
    result: Result


@dataclass(frozen=True, slots=True)
class Step:
    """What is said at once: parts, and calls that are answered directly after it."""

    parts: tuple[Part, ...]
    exchanges: tuple[Exchange, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """What is sent together or not at all: a message, and if it calls tools, each call with its result.

    Messages of an assistant that call tools one after the other, before any result comes, are one unit, and one step:
    so are they where each call is an item of its own. A message that holds its own results may have several steps.
    """

    spoken: tuple[Said, ...]
    steps: tuple[Step, ...]

    @property
    def role(self) -> str:
        """Who speaks."""
        return self.spoken[0].role

    @property
    def is_user(self) -> bool:
        """Whether a turn can begin here."""
        return self.role == "user"

    @property
    def name(self) -> Any:
        """The name of who speaks, as it is stored."""
        return self.spoken[0].message.get("name")

    @property
    def exchanges(self) -> list[Exchange]:
        """All calls with their results, in order."""
        return [exchange for step in self.steps for exchange in step.exchanges]

    @property
    def seqs(self) -> set[int]:
        """The messages that it is made of."""
        return {*(one.seq for one in self.spoken), *(exchange.result.said.seq for exchange in self.exchanges)}


def spoken(message: dict[str, Any]) -> Said:
    """What a message says without what no provider takes: texts of white space alone, and reasoning."""
    one = said(message)
    parts = tuple(filter(_is_sendable, one.parts))
    if len(parts) < len(one.parts):
        one = replace(one, parts=parts)
    if not all(_is_sendable(part) for result in one.results for part in result.parts):
        sendable = (replace(result, parts=tuple(filter(_is_sendable, result.parts))) for result in one.results)
        one = replace(one, results=tuple(sendable))
    return one


@dataclass(slots=True)
class Reading:
    """A reading of a branch; `read` is given its messages newest first. `findings` are in that order too."""

    findings: list[Finding] = field(default_factory=list)
    _waiting: list[Result] = field(default_factory=list)  # results, newest first, whose call must come next
    _run: list[Said] = field(default_factory=list)  # messages of the assistant before them, newest first
    _strays: dict[str, list[int]] = field(default_factory=dict)  # call id -> orphaned results, as places in findings
    _later: dict[str, Finding] = field(default_factory=dict)  # call id -> what to say if it was used before
    _since_user: list[Finding] = field(default_factory=list)  # what to say if no user speaks before

    def read(self, message: dict[str, Any]) -> list[Unit]:
        """Reads the message before those that were read; gives what is now known to be sent, newest first.

        Messages of a type of their own, and those still being written, are passed over as if they were not there.
        """
        if message.get("type", "message") != "message" or message.get("status") == "in_progress":
            return []
        one = spoken(message)
        self._malformed(one)
        if one.role == "assistant":
            return self._assistant(one)
        if one.role in INSTRUCTING:
            if not one.parts:
                self._empty(one)
            return []
        if one.role == "tool":
            units = self._end_of_run()
            self._waiting += reversed(one.results)
            return units
        if not one.parts and not one.results:
            self._empty(one)
        units = self._end_of_run() if one.parts or one.results else []
        if one.parts:
            self._orphan(self._take_waiting())
            self._since_user.clear()
        self._waiting += reversed(one.results)
        return [*units, Unit((one,), (Step(one.parts),))] if one.parts else units

    def read_all(self, messages: Iterable[dict[str, Any]]) -> None:
        """Reads messages, newest first, for what is to be said of them."""
        for message in messages:
            self.read(message)

    def end(self) -> list[Unit]:
        """Says that there is nothing before what was read; gives what that leaves to be sent, newest first."""
        units = self._end_of_run()
        self._orphan(self._take_waiting())
        self.findings += self._since_user
        self._since_user.clear()
        return units

    def _assistant(self, one: Said) -> list[Unit]:
        if not (one.parts or one.calls or one.results):
            # The results may answer what is before it.
            if not one.malformed and not thinks(one):
                self._empty(one)
            return []
        self._run.append(one)
        return [] if self._calls_are_missing() else self._end_of_run()

    def _calls_are_missing(self) -> bool:
        """Whether results wait for calls that may come before the messages of the run."""
        if not self._waiting or len(self._run) == _LONGEST_RUN:
            return False
        missing = Counter(result.call_id for result in self._waiting)
        missing.subtract(call.id for one in self._run for call in one.calls)
        return any(left > 0 for call_id, left in missing.items() if call_id)

    def _end_of_run(self) -> list[Unit]:
        """Takes the messages of the assistant that were read last, and gives each call the result that it has.

        From the first that calls for a result after them they are one unit; those before it stand for themselves.
        """
        run, self._run = self._run[::-1], []
        if not run:
            return []
        waiting = self._waiting[::-1]
        inner: list[list[Step]] = []  # for each message, its steps; the last one calls for the results after it
        for one in run:
            own, waiting = self._steps(one, waiting)
            inner.append(own)
        first = next((place for place, own in enumerate(inner) if own[-1].exchanges), len(run))
        groups = [range(place, place + 1) for place in range(first)] + [range(first, len(run))]
        units = [
            Unit(tuple(run[place] for place in group if _joined([inner[place]])), kept)
            for group in groups
            if (kept := _joined([inner[place] for place in group]))
        ]
        if units:
            self._waiting.clear()
            self._orphan(waiting)
        for unit in reversed(units):
            self._remember(unit)
        return units[::-1]

    def _steps(self, one: Said, waiting: list[Result]) -> tuple[list[Step], list[Result]]:
        """The steps of a message, the last one with those results that wait for it; and the results that still wait."""
        found: list[Step] = []
        parts: tuple[Part, ...] = ()
        calls: list[Call] = []
        for step in steps(one):
            parts = tuple(filter(_is_sendable, step.parts))
            if not step.results:
                calls += step.calls
                continue
            exchanges, without, left = _matched(one, step.calls, list(step.results))
            self._orphan(left)
            found.append(Step(parts, exchanges))
            calls += without
            parts = ()
        exchanges, without, waiting = _matched(one, calls, waiting)
        for call in without:
            self._unanswered(one, call)
        return [*found, Step(parts, exchanges)], waiting

    def _take_waiting(self) -> list[Result]:
        waiting, self._waiting = self._waiting[::-1], []
        return waiting

    def _remember(self, unit: Unit) -> None:
        """Keeps what must be said of a unit if its calls' ids, or no user, turn up before it."""
        for exchange in reversed(unit.exchanges):
            call_id = exchange.call.id
            if call_id in self._later:
                self.findings.append(self._later[call_id])
            self._later[call_id] = _duplicate(exchange)
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


def thinks(one: Said) -> bool:
    """Whether a message has reasoning, and so says something, if nothing that can be sent."""
    return any(isinstance(part, Reasoning) for part in parts_of(one.message.get("content")))


def _is_sendable(part: Part) -> bool:
    match part:
        case Text(text) | Refusal(text):
            return bool(text.strip())
        case Reasoning():
            return False
    return True


def _matched(
    one: Said, calls: Iterable[Call], results: list[Result]
) -> tuple[tuple[Exchange, ...], list[Call], list[Result]]:
    """Calls of a message with their results, both in order; the calls that have none, and the results that are left."""
    found: list[Exchange] = []
    without: list[Call] = []
    for call in calls:
        result = next((result for result in results if result.call_id == call.id), None)
        if result is None:
            without.append(call)
        else:
            results = [other for other in results if other is not result]
            found.append(Exchange(one, call, result))
    return tuple(found), without, results


def _joined(inner: list[list[Step]]) -> tuple[Step, ...]:
    """The steps of messages in a row: their last ones are one. None that says nothing."""
    before = [step for own in inner for step in own[:-1]]
    last = Step(
        tuple(part for own in inner for part in own[-1].parts),
        tuple(exchange for own in inner for exchange in own[-1].exchanges),
    )
    return tuple(step for step in (*before, last) if step.parts or step.exchanges)


def _duplicate(exchange: Exchange) -> Finding:
    one, call, result = exchange.said, exchange.call, exchange.result
    fresh = "call_" + hashlib.sha256(f"{one.message_id} {call.place}".encode()).hexdigest()[:24]
    edits = (Edit(one.seq, "rename", call.place, fresh), Edit(result.said.seq, "rename", result.place, fresh))
    return Finding(
        "duplicate_call_id", one.message_id, one.seq, f"The call id {_short(call.id)} was used before.", edits
    )


def _before_user(unit: Unit) -> Iterable[Finding]:
    """What to say of a unit that no user spoke before, of its last message first."""
    detail = "It comes before the first message of the user."
    speaking = {one.seq for one in unit.spoken}
    for exchange in reversed(unit.exchanges):
        result = exchange.result
        if result.said.seq in speaking:
            continue
        edit = Edit(result.said.seq, "drop", result.place)
        if result.place is None:
            edit = Edit(result.said.seq, "retype", value="preamble")
        yield Finding("before_first_user", result.said.message_id, result.said.seq, detail, (edit,))
    for one in reversed(unit.spoken):
        edit = Edit(one.seq, "retype", value="preamble")
        yield Finding("before_first_user", one.message_id, one.seq, detail, (edit,))


def _short(call_id: str) -> str:
    return repr(call_id if len(call_id) <= 64 else call_id[:63] + "…")
