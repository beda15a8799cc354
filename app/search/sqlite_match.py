"""Match query on SQLite: the FTS5 table, asked once for all buckets (https://www.sqlite.org/fts5.html)."""

from collections.abc import Sequence
from datetime import datetime

from app.chats.sqlite import SqliteListSql
from app.db.timestamps import to_iso
from app.search.query_parser import Phrase, Query
from app.search.ranking import RANKED_CHARACTERS

_MATCHES = """
WITH scanned_documents AS MATERIALIZED (
    SELECT d.user_id, d.doc, d.chat_id, d.seq, d.role, d.created_at, {phrases} AS phrases_match
    FROM search_index i CROSS JOIN documents d ON d.user_id = $1 AND d.doc = i.rowid
    WHERE i.search_index MATCH $2 LIMIT {max_scanned}
)
SELECT n.scanned, f.created_at, f.doc, f.chat_id, f.seq{words_columns}
FROM (SELECT count(*) AS scanned FROM scanned_documents) AS n LEFT JOIN (
    SELECT * FROM (
        SELECT created_at, doc, chat_id, seq FROM scanned_documents WHERE {conditions}
        ORDER BY created_at DESC, doc DESC LIMIT {max_scanned}
    ) AS newest WHERE EXISTS (SELECT 1 FROM chats c WHERE c.chat_id = newest.chat_id AND {chats}) LIMIT {limit}
) AS f ON TRUE {words_source}
"""


class SqliteMatchSql:
    """The match query of SQLite."""

    statement = _MATCHES
    words_columns = f", substr(d.words, 1, {RANKED_CHARACTERS}), length(d.words)"
    words_source = "LEFT JOIN documents d ON d.user_id = $1 AND d.doc = f.doc"

    def comparable(self, timestamp: datetime | str) -> str:
        return to_iso(timestamp)

    def index_query(self, query: Query, buckets: Sequence[int]) -> str:
        """One full-text query (https://www.sqlite.org/fts5.html, section 3)."""
        excluded = [phrase for phrase in query.excluded if len(phrase.terms) == 1]
        bucket_queries = []
        for bucket in buckets:
            clauses = [f"({' OR '.join(_phrase(phrase, bucket) for phrase in clause)})" for clause in query.required]
            required = " AND ".join(clauses)
            without = f" NOT ({' OR '.join(_phrase(phrase, bucket) for phrase in excluded)})" if excluded else ""
            bucket_queries.append(f"(({required}){without})")
        return " OR ".join(bucket_queries)

    def contains(self, parameter: str) -> str:
        return f"instr(words, {parameter}) > 0"

    def has_element(self, column: str, parameter: str) -> str:
        return SqliteListSql().has_element(column, parameter)


def _phrase(phrase: Phrase, bucket: int) -> str:
    terms = [_quote(f"{bucket}_{term}") for term in phrase.terms]
    return f"({' AND '.join(terms)}{' *' if phrase.prefix else ''})"


def _quote(term: str) -> str:
    escaped = term.replace('"', '""')
    return f'"{escaped}"'
