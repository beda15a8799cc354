"""Context window: the newest part of a branch that fits into a model's context."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from app.codecs.canonical import INSTRUCTION_ROLES, CanonicalMessage
from app.codecs.parts import Text
from app.context import tokens
from app.context.branch_reader import BranchReader
from app.context.groups import MessageGroup, sendable_message

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
    """What is sent: instructions, then groups in the order of the chat, the first one the user's.

    Attributes:
        tokens: of all of it.
        truncated: whether instructions or older messages of the branch were left out for want of room.
    """

    instructions: list[CanonicalMessage]
    groups: list[MessageGroup]
    tokens: int
    truncated: bool

    @property
    def instruction_count(self) -> int:
        """How many of the chat's messages are in the instructions, which the summary is not."""
        return sum(message.seq > 0 for message in self.instructions)

    @property
    def seqs(self) -> list[int]:
        """The numbers of the messages of the conversation in it, in order."""
        return sorted(set[int]().union(*(group.seqs for group in self.groups)))


@dataclass(slots=True)
class ContextWindow:
    """Takes a branch's messages from the newest back until nothing more fits.

    A turn is a message of the user and all that comes before the next one; it is taken whole. Only the newest one is
    shortened where it does not fit: then its message of the user stays, and as much of its end as there is room for.
    """

    limits: Limits
    truncated: bool = False
    full: bool = False
    _reader: BranchReader = field(default_factory=BranchReader)
    _instructions: list[CanonicalMessage] = field(default_factory=list)
    _turns: list[list[MessageGroup]] = field(default_factory=list)  # newest first, and so are their groups
    _turn: list[tuple[MessageGroup, int]] = field(default_factory=list)  # the turn being read: groups and their tokens
    _turn_tokens: int = 0
    _turn_messages: int = 0
    _turn_overflows: bool = False  # it does not fit whole
    _tokens: int = 0  # of the instructions and turns that were taken
    _messages: int = 0
    _read: int = 0

    @property
    def is_final(self) -> bool:
        """Whether adding older messages would change nothing."""
        return self.full and self.truncated

    def add_instructions(self, messages: Iterable[dict[str, Any]], summary: str | None) -> None:
        """Takes the system and developer messages, then the summary, each as far as it still fits. Called first."""
        instructions = [sendable_message(message) for message in messages if _is_instruction(message)]
        if summary and summary.strip():
            fields = {"role": "system", "message_id": "", "seq": 0}
            instructions.append(CanonicalMessage(fields, (Text(SUMMARY + summary),)))
        for message in instructions:
            if not message.parts:
                continue
            size = tokens.count_message(message, self._room())
            if size <= self._room() and self._messages < MAX_MESSAGES:
                self._instructions.append(message)
                self._tokens += size
                self._messages += 1
            else:
                self.truncated = True

    def add(self, messages: Iterable[dict[str, Any]]) -> None:
        """Takes further messages, newest first."""
        for message in messages:
            if self._read == MAX_READ:
                self.full = self.truncated = True
            if self.is_final:
                return
            self._read += 1
            for group in self._reader.read(message):
                self._add_group(group)

    def build(self) -> Context:
        """The context of what was taken. Called last."""
        for group in self._reader.end():
            self._add_group(group)
        groups = [group for turn in reversed(self._turns) for group in reversed(turn)]
        return Context(self._instructions, groups, self._tokens, self.truncated)

    def _add_group(self, group: MessageGroup) -> None:
        if self.full:
            self.truncated = True
        elif group.is_user:
            self._close_turn(group)
        elif not self._turn_overflows:
            self._extend_turn(group)

    def _room(self) -> int:
        """Tokens that there is room for; never below zero."""
        limit = UNLIMITED if self.limits.max_tokens is None else self.limits.max_tokens
        return limit - self._tokens

    def _fits(self, group: MessageGroup, size: int) -> bool:
        """Whether there is room for a group beside what was taken and the turn being read."""
        messages = self._messages + self._turn_messages + _message_count(group)
        return size <= self._room() - self._turn_tokens and messages <= MAX_MESSAGES

    def _extend_turn(self, group: MessageGroup) -> None:
        """Keeps a group that is not the user's until the message of the user before it is read."""
        size = tokens.count_group(group, self._room() - self._turn_tokens)
        if self._fits(group, size):
            self._turn.append((group, size))
            self._turn_tokens += size
            self._turn_messages += _message_count(group)
            return
        self._turn_overflows = self.truncated = True
        self.full = bool(self._turns)

    def _close_turn(self, user: MessageGroup) -> None:
        """Takes a turn, now that its message of the user is there."""
        size = tokens.count_group(user, self._room())
        if self._turn_overflows or not self._fits(user, size):
            self.truncated = self.full = True
            if self._turns:
                return
            while self._turn and not self._fits(user, size):
                oldest, oldest_size = self._turn.pop()
                self._turn_tokens -= oldest_size
                self._turn_messages -= _message_count(oldest)
            if not self._fits(user, size):
                return
        self._turns.append([*(group for group, _ in self._turn), user])
        self._tokens += size + self._turn_tokens
        self._messages += self._turn_messages + _message_count(user)
        self._turn, self._turn_tokens, self._turn_messages = [], 0, 0
        self.full = self.full or len(self._turns) == self.limits.max_turns


def _message_count(group: MessageGroup) -> int:
    return len(group.steps) + len(group.calls)


def _is_instruction(message: dict[str, Any]) -> bool:
    is_plain = message.get("type", "message") == "message" and message.get("status") != "in_progress"
    return is_plain and message["role"] in INSTRUCTION_ROLES
