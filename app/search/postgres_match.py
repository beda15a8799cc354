"""Match query on Postgres: the GIN index, asked with a tsquery for each bucket."""

from collections.abc import Sequence
from datetime import datetime

from app.chats.postgres import PostgresListSql
from app.db.timestamps import to_datetime
from app.search.query_parser import Phrase, Query
from app.search.ranking import RANKED_CHARACTERS

# The words are looked up alone, so that no query plan reads all documents of a user. Matches are sorted before their
# chats are read, so that no more chats are read than needed.
_MATCHES = """
WITH scanned_documents AS MATERIALIZED (
    SELECT d.user_id, d.doc, d.chat_id, d.seq, d.role, d.created_at{words_source}, {phrases} AS phrases_match
    FROM unnest($2::text[]) AS b(query)
    CROSS JOIN LATERAL (
        SELECT * FROM documents WHERE {owner}chatkeep_terms(bucket, words) @@ b.query::tsquery
    ) AS d
    LIMIT {max_scanned}
)
SELECT n.scanned, f.* FROM (SELECT count(*) AS scanned FROM scanned_documents) AS n LEFT JOIN (
    SELECT newest.created_at, newest.doc, newest.chat_id, newest.seq{words_columns}
    FROM (SELECT * FROM scanned_documents WHERE {conditions} ORDER BY created_at DESC, doc DESC) AS newest
    CROSS JOIN LATERAL (SELECT 1 FROM chats c WHERE c.chat_id = newest.chat_id AND {chats} LIMIT 1) AS c
    ORDER BY newest.created_at DESC, newest.doc DESC LIMIT {limit}
) AS f ON TRUE
"""


class PostgresMatchSql:
    """The match query of Postgres."""

    words_columns = f", left(newest.words, {RANKED_CHARACTERS}), length(newest.words)"
    words_source = ", d.words"

    def __init__(self, citus: bool) -> None:
        # A bucket has documents of one user only, so that the words alone will do, and no plan goes by the user. Citus
        # has to be told on which machine they are; it plans there, knowing how many documents the user has.
        self.statement = _MATCHES.replace("{owner}", "user_id = $1 AND " if citus else "")

    def comparable(self, timestamp: datetime) -> datetime:
        return to_datetime(timestamp)

    def index_query(self, query: Query, buckets: Sequence[int]) -> list[str]:
        """A tsquery for each bucket, as text (https://www.postgresql.org/docs/current/datatype-textsearch.html)."""
        tsqueries = []
        for bucket in buckets:
            clauses = [f"({' | '.join(_phrase(phrase, bucket) for phrase in clause)})" for clause in query.required]
            clauses += [f"!{_phrase(phrase, bucket)}" for phrase in query.excluded if len(phrase.terms) == 1]
            tsqueries.append(" & ".join(clauses))
        return tsqueries

    def contains(self, parameter: str) -> str:
        return f"strpos(words, {parameter}) > 0"

    def has_element(self, column: str, parameter: str) -> str:
        return PostgresListSql().has_element(column, parameter)


def _phrase(phrase: Phrase, bucket: int) -> str:
    terms = [_quote(f"{bucket}_{term}") for term in phrase.terms]
    return f"({' & '.join(terms)}{':*' if phrase.prefix else ''})"


def _quote(term: str) -> str:
    escaped = term.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
