"""Query builder: the SQL that finds the matches in some buckets of a user's documents, on either database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from app.search.query_parser import Phrase, Query

# One statement scans so many documents at most. It tells when there are more, and is repeated for fewer buckets.
MAX_SCANNED = 20_000


@dataclass(frozen=True, slots=True)
class SearchCriteria:
    """What to find among a user's documents.

    Attributes:
        before: only what comes before this position in the order by time: a timestamp, and a document's number.
        after: only what was created after this timestamp.
    """

    user_id: str
    query: Query
    chat_id: str | None = None
    role: str | None = None
    platform: str | None = None
    tags: tuple[str, ...] = ()
    include_deleted: bool = False
    before: tuple[datetime, int] | None = None
    after: datetime | None = None


class MatchSql(Protocol):
    """The match query of one database."""

    statement: str
    """What is in braces is filled in by QueryBuilder; `$1` is the user, `$2` what `index_query` returned.

    Each row has how many documents were scanned, and of a match its `created_at`, number, chat and seq, then
    `words_columns`. There is at least one row, which may be without a match.
    """

    words_columns: str
    words_source: str
    """The beginning of a match's words and the length of all of them, and where they come from; for ranking only."""

    def comparable(self, timestamp: Any) -> Any:
        """A timestamp of this database or of a request, such that all compare and can be passed as arguments."""

    def index_query(self, query: Query, buckets: Sequence[int]) -> Any:
        """The full-text query for documents of these buckets with the words of a query, in whatever order."""

    def contains(self, parameter: str) -> str:
        """SQL: the document's words contain the parameter's text."""

    def has_element(self, column: str, parameter: str) -> str:
        """SQL: the JSON array of a column has the parameter's text as an element."""


class QueryBuilder:
    """Builds the match query for some criteria."""

    def __init__(self, sql: MatchSql, criteria: SearchCriteria) -> None:
        self._sql = sql
        self._criteria = criteria
        self._arguments: list[Any] = []
        self._phrases = " AND ".join(self._phrase_conditions()) or "TRUE"
        self._conditions = " AND ".join(self._document_conditions())
        self._chats = " AND ".join(self._chat_conditions())

    def statement(self, buckets: Sequence[int], limit: int, *, words: bool) -> tuple[str, list[Any]]:
        """The statement and its arguments for the newest `limit` matches in some buckets."""
        text = self._sql.statement.format(
            phrases=self._phrases,
            conditions=self._conditions,
            chats=self._chats,
            limit=limit,
            max_scanned=MAX_SCANNED + 1,
            words_columns=self._sql.words_columns if words else "",
            words_source=self._sql.words_source if words else "",
        )
        index_query = self._sql.index_query(self._criteria.query, buckets)
        return text, [self._criteria.user_id, index_query, *self._arguments]

    def _parameter(self, value: Any) -> str:
        self._arguments.append(value)
        return f"${len(self._arguments) + 2}"

    def _phrase_conditions(self) -> list[str]:
        """What the index cannot tell: whether words stand next to each other."""
        query = self._criteria.query
        clauses = [clause for clause in query.required if any(len(phrase.terms) > 1 for phrase in clause)]
        conditions = [f"({' OR '.join(map(self._contains, clause))})" for clause in clauses]
        return conditions + [f"NOT {self._contains(phrase)}" for phrase in query.excluded if len(phrase.terms) > 1]

    def _contains(self, phrase: Phrase) -> str:
        return self._sql.contains(self._parameter(phrase.text()))

    def _document_conditions(self) -> list[str]:
        criteria = self._criteria
        conditions = ["user_id = $1", "phrases_match"]
        for column, value in (("chat_id", criteria.chat_id), ("role", criteria.role)):
            if value is not None:
                conditions.append(f"{column} = {self._parameter(value)}")
        if criteria.after is not None:
            conditions.append(f"created_at > {self._parameter(criteria.after)}")
        if criteria.before is not None:
            created_at, doc = criteria.before
            conditions.append(f"(created_at, doc) < ({self._parameter(created_at)}, {self._parameter(doc)})")
        return conditions

    def _chat_conditions(self) -> list[str]:
        criteria = self._criteria
        conditions = ["c.user_id = $1"]
        if not criteria.include_deleted:
            conditions.append("c.deleted_at IS NULL")
        if criteria.platform is not None:
            conditions.append(f"c.platform = {self._parameter(criteria.platform)}")
        return conditions + [self._sql.has_element("c.tags", self._parameter(tag)) for tag in criteria.tags]
