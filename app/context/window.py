"""The newest part of a branch that fits: what of it is sent to a model."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from app.codecs.parts import Text
from app.codecs.said import INSTRUCTING, Said
from app.context import tokens
from app.context.reading import Reading, Unit, spoken

# Messages of one request: more than any model has use for, and some providers have a limit of their own.
MAX_MESSAGES = 2048
# How far back a context reaches at most, so that none reads a chat of a million messages.
MAX_READ = 10_000
UNLIMITED = 2**62
SUMMARY = "Summary of the conversation so far:\n"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much fits: tokens in all, messages of the user. None is no limit."""

    max_tokens: int | None = None
    max_turns: int | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """What is sent: instructions, then units in the order of the chat, the first one the user's.

    Attributes:
        tokens: of all of it.
        truncated: whether instructions or older messages of the branch were left out for want of room.
    """

    instructions: list[Said]
    units: list[Unit]
    tokens: int
    truncated: bool

    @property
    def instructed(self) -> int:
        """How many of the chat's messages are instructions of it; the summary is none of them."""
        return sum(one.seq > 0 for one in self.instructions)

    @property
    def seqs(self) -> list[int]:
        """The messages of the conversation that are in it, in order."""
        return sorted(set[int]().union(*(unit.seqs for unit in self.units)))


@dataclass(slots=True)
class Window:
    """Takes a branch's messages from the newest back until nothing more fits.

    A turn is a message of the user and all that comes before the next one; it is taken whole. Only the newest one is
    shortened where it does not fit: then its message of the user stays, and as much of its end as there is room for.
    """

    limits: Limits
    truncated: bool = False
    full: bool = False
    _reading: Reading = field(default_factory=Reading)
    _instructions: list[Said] = field(default_factory=list)
    _turns: list[list[Unit]] = field(default_factory=list)  # newest first, and so are their units
    _turn: list[tuple[Unit, int]] = field(default_factory=list)  # the turn being read: its units and their tokens
    _held: int = 0  # tokens of that turn
    _held_messages: int = 0  # messages of that turn
    _overflow: bool = False  # the turn being read does not fit whole
    _used: int = 0  # tokens taken
    _messages: int = 0  # messages taken
    _read: int = 0

    @property
    def settled(self) -> bool:
        """Whether reading on would change nothing."""
        return self.full and self.truncated

    def instruct(self, messages: Iterable[dict[str, Any]], summary: str | None) -> None:
        """Takes the system and developer messages, then the summary, each as far as it still fits. Comes first."""
        ours = [_system(SUMMARY + summary)] if summary and summary.strip() else []
        for one in (*map(spoken, filter(_instructs, messages)), *ours):
            if not one.parts:
                continue
            size = tokens.of_message(one, self._room())
            if size <= self._room() and self._messages < MAX_MESSAGES:
                self._instructions.append(one)
                self._used += size
                self._messages += 1
            else:
                self.truncated = True

    def read(self, messages: Iterable[dict[str, Any]]) -> None:
        """Takes further messages, newest first."""
        for message in messages:
            if self._read == MAX_READ:
                self.full = self.truncated = True
            if self.settled:
                return
            self._read += 1
            for unit in self._reading.read(message):
                self._take(unit)

    def end(self) -> Context:
        """What was taken."""
        for unit in self._reading.end():
            self._take(unit)
        units = [unit for turn in reversed(self._turns) for unit in reversed(turn)]
        return Context(self._instructions, units, self._used, self.truncated)

    def _take(self, unit: Unit) -> None:
        if self.full:
            self.truncated = True
        elif unit.is_user:
            self._close(unit)
        elif not self._overflow:
            self._hold(unit)

    def _room(self) -> int:
        """Tokens that there is room for; below zero never."""
        most = UNLIMITED if self.limits.max_tokens is None else self.limits.max_tokens
        return most - self._used

    def _fits(self, unit: Unit, size: int) -> bool:
        """Whether a unit finds room beside what was taken and what is held."""
        messages = self._messages + self._held_messages + _messages_in(unit)
        return size <= self._room() - self._held and messages <= MAX_MESSAGES

    def _hold(self, unit: Unit) -> None:
        """Keeps what is not the user's until the message of the user before it is read."""
        size = tokens.of_unit(unit, self._room() - self._held)
        if self._fits(unit, size):
            self._turn.append((unit, size))
            self._held += size
            self._held_messages += _messages_in(unit)
            return
        self._overflow = self.truncated = True
        self.full = bool(self._turns)

    def _close(self, user: Unit) -> None:
        """Takes a turn, now that its message of the user is there."""
        size = tokens.of_unit(user, self._room())
        whole = not self._overflow and self._fits(user, size)
        if not whole:
            self.truncated = self.full = True
            if self._turns:
                return
            while self._turn and not self._fits(user, size):
                unit, its_size = self._turn.pop()
                self._held -= its_size
                self._held_messages -= _messages_in(unit)
            if not self._fits(user, size):
                return
        self._turns.append([*(unit for unit, _ in self._turn), user])
        self._used += size + self._held
        self._messages += self._held_messages + _messages_in(user)
        self._turn, self._held, self._held_messages = [], 0, 0
        self.full = self.full or len(self._turns) == self.limits.max_turns


def _messages_in(unit: Unit) -> int:
    return len(unit.steps) + len(unit.exchanges)


def _instructs(message: dict[str, Any]) -> bool:
    usual = message.get("type", "message") == "message" and message.get("status") != "in_progress"
    return usual and message["role"] in INSTRUCTING


def _system(text: str) -> Said:
    return Said({"role": "system", "message_id": "", "seq": 0}, (Text(text),))
