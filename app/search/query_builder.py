"""The statement that looks for matches in some buckets of a user's documents; each database says it in its own way."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from app.search.query import Phrase, Query

# What one statement looks at, at most: it says so when there was more, and is asked again for fewer buckets.
MOST_LOOKED_AT = 20_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for in a user's documents, and among which of them.

    Attributes:
        before: only what comes before this place in time: a moment, and a document's number there.
        earliest: only what was created after this moment.
    """

    user_id: str
    query: Query
    chat_id: str | None = None
    role: str | None = None
    platform: str | None = None
    tags: tuple[str, ...] = ()
    include_deleted: bool = False
    before: tuple[datetime, int] | None = None
    earliest: datetime | None = None


class SearchSql(Protocol):
    """How a database says it."""

    statement: str
    """What is in braces is filled in by Matching; `$1` is the user, `$2` what `looked_up` gave.

    Gives how many documents were looked at, and of a match the moment, the number, the chat and the seq, then what
    `words` says; at least one row, maybe without a match.
    """

    words: str
    of_words: str
    """Put in where the beginning of a match's words is asked for, and how long all of them are; else nothing is."""

    def comparable(self, moment: Any) -> Any:
        """A moment, from this database or from a request, so that it can be compared with others and passed as one."""
        ...

    def looked_up(self, query: Query, buckets: Sequence[int]) -> Any:
        """What the index is asked: documents of these buckets that have all the words; not if in the right order."""
        ...

    def contains(self, parameter: str) -> str:
        """SQL: the document's words have the parameter's text."""
        ...

    def has_element(self, column: str, parameter: str) -> str:
        """See JsonSql."""
        ...


class Matching:
    """The statement for what is wanted."""

    def __init__(self, sql: SearchSql, wanted: Wanted) -> None:
        self._sql = sql
        self._wanted = wanted
        self._arguments: list[Any] = []
        self._fits = " AND ".join(self._order_of_words()) or "TRUE"
        self._conditions = " AND ".join(self._of_documents())
        self._chats = " AND ".join(self._of_chats())

    def statement(self, buckets: Sequence[int], limit: int, *, words: bool) -> tuple[str, list[Any]]:
        """The statement and its arguments for the newest `limit` matches in some buckets."""
        text = self._sql.statement.format(
            fits=self._fits,
            conditions=self._conditions,
            chats=self._chats,
            limit=limit,
            most=MOST_LOOKED_AT + 1,
            words=self._sql.words if words else "",
            of_words=self._sql.of_words if words else "",
        )
        looked_up = self._sql.looked_up(self._wanted.query, buckets)
        return text, [self._wanted.user_id, looked_up, *self._arguments]

    def _parameter(self, value: Any) -> str:
        self._arguments.append(value)
        return f"${len(self._arguments) + 2}"

    def _order_of_words(self) -> list[str]:
        """What the index cannot tell: whether words stand next to each other."""
        query = self._wanted.query
        clauses = [clause for clause in query.every if any(len(phrase.terms) > 1 for phrase in clause)]
        found = [f"({' OR '.join(map(self._contains, clause))})" for clause in clauses]
        return found + [f"NOT {self._contains(phrase)}" for phrase in query.none if len(phrase.terms) > 1]

    def _contains(self, phrase: Phrase) -> str:
        return self._sql.contains(self._parameter(f" {' '.join(phrase.terms)}{'' if phrase.prefix else ' '}"))

    def _of_documents(self) -> list[str]:
        wanted = self._wanted
        found = ["user_id = $1", "fits"]
        for column, value in (("chat_id", wanted.chat_id), ("role", wanted.role)):
            if value is not None:
                found.append(f"{column} = {self._parameter(value)}")
        if wanted.earliest is not None:
            found.append(f"created_at > {self._parameter(wanted.earliest)}")
        if wanted.before is not None:
            at, doc = wanted.before
            found.append(f"(created_at, doc) < ({self._parameter(at)}, {self._parameter(doc)})")
        return found

    def _of_chats(self) -> list[str]:
        wanted = self._wanted
        found = ["c.user_id = $1"]
        if not wanted.include_deleted:
            found.append("c.deleted_at IS NULL")
        if wanted.platform is not None:
            found.append(f"c.platform = {self._parameter(wanted.platform)}")
        return found + [self._sql.has_element("c.tags", self._parameter(tag)) for tag in wanted.tags]
