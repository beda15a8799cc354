"""The rule of statements itself: what breaks it is seen, and the functions and the statements of Citus keep it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.search.for_users import ForUsers
from app.search.postgres_match import PostgresMatchSql
from app.search.query_builder import QueryBuilder, SearchCriteria
from app.search.query_parser import parse
from tests.user_paths import USER_TABLES, violations

APPEND = Path(__file__).parents[1] / "app" / "messages" / "append"

KEPT = [
    "SELECT 1 FROM chats WHERE user_id = $1 AND chat_id = $2",
    "SELECT 1 FROM chats c WHERE $1 = c.user_id",
    "SELECT 1 FROM chats c JOIN messages m ON m.user_id = $1 AND m.chat_id = c.chat_id WHERE c.user_id = $1::text",
    "SELECT (SELECT max(seq) FROM messages m WHERE m.user_id = $1) FROM chats c WHERE (c.user_id = $1 AND c.key = $2)",
    "WITH own AS (SELECT chat_id FROM chats WHERE user_id = $1) SELECT * FROM own",
    "SELECT 1 FROM unnest($2::uuid[]) AS w(id) CROSS JOIN LATERAL (SELECT 1 FROM chats WHERE user_id = $1 LIMIT 1) c",
    "INSERT INTO feeds (position, user_id) VALUES ($1, $2::VARCHAR)",
    "INSERT INTO feeds (position, user_id) SELECT position, $1 FROM usage WHERE user_id = $1",
    "UPDATE chats c SET title = $2 FROM unnest($3::uuid[]) AS w(id) WHERE c.user_id = $1 AND c.chat_id = w.id",
    "DELETE FROM chats USING unnest($2::uuid[]) AS w(id) WHERE chats.user_id = $1 AND chats.chat_id = w.id",
    "SELECT 1 FROM chats WHERE user_id = $1 AND chat_id = $2 FOR UPDATE",
    "SELECT 1 FROM api_keys WHERE sha256 = $1",
]
BROKEN = [
    "SELECT 1 FROM chats WHERE chat_id = $1",
    "SELECT 1 FROM chats WHERE user_id = $1 OR chat_id = $2",
    "SELECT 1 FROM chats WHERE user_id <> $1",
    "SELECT 1 FROM chats WHERE user_id = ANY($1)",
    "SELECT 1 FROM chats c JOIN messages m ON m.user_id = c.user_id WHERE c.user_id = $1",
    "SELECT 1 FROM chats c LEFT JOIN messages m ON m.chat_id = c.chat_id WHERE c.user_id = $1",
    "SELECT (SELECT max(seq) FROM messages m WHERE m.user_id = c.user_id) FROM chats c WHERE c.user_id = $1",
    "SELECT 1 FROM chats c, messages m WHERE user_id = $1",
    "WITH own AS (SELECT chat_id FROM chats) SELECT * FROM own WHERE user_id = $1",
    "SELECT * FROM (SELECT * FROM chats) c WHERE c.user_id = $1",
    "SELECT 1 FROM unnest($1::text[]) AS w(id) CROSS JOIN LATERAL (SELECT 1 FROM chats WHERE user_id = w.id) c",
    "INSERT INTO feeds (user_id, position) SELECT w.id, 1 FROM unnest($1::text[]) AS w(id)",
    "INSERT INTO feeds (user_id, position) SELECT user_id, 1 FROM usage WHERE user_id = $1",
    "INSERT INTO feeds SELECT * FROM unnest($1::text[], $2::int[])",
    "UPDATE chats c SET title = $1 FROM unnest($2::text[]) AS w(id) WHERE c.user_id = w.id",
    "DELETE FROM chats USING unnest($1::text[]) AS w(id) WHERE chats.user_id = w.id",
    "SELECT 1 FROM chats WHERE user_id = $1 AND chat_id IN ($2, $3) FOR UPDATE",
    "SELECT 1 FROM chats WHERE user_id = $1 AND chat_id = ANY($2) FOR UPDATE",
    "SELECT 1 FROM chats c JOIN feeds f ON f.user_id = $1 WHERE c.user_id = $1 FOR UPDATE OF c",
]


@pytest.mark.parametrize("statement", KEPT)
def test_the_rule_is_kept(statement: str) -> None:
    assert violations(statement) == ()


@pytest.mark.parametrize("statement", BROKEN)
def test_what_breaks_the_rule_is_seen(statement: str) -> None:
    assert violations(statement)


def test_the_tables_of_users() -> None:
    assert {"chats", "messages", "feeds", "usage", "documents", "idempotency", "tickets"} <= USER_TABLES
    assert "api_keys" not in USER_TABLES


@pytest.mark.parametrize("query", ["egg", '"boiled egg" -"fried egg"'])
def test_a_search_names_its_user_on_citus(query: str) -> None:
    criteria = SearchCriteria("ann", parse(query), platform="web", tags=("a",))
    for words in (False, True):
        statement, _ = QueryBuilder(PostgresMatchSql(citus=True), criteria).statement([1], 1, words=words)
        assert violations(statement) == ()


def test_a_statement_for_one_user_names_it() -> None:
    statement = ForUsers("UPDATE indexing i SET position = w.to FROM {rows} WHERE i.user_id = {user}", to="bigint")
    assert violations(statement.of_one) == ()
    assert violations(statement.of_many)
    alone = ForUsers("INSERT INTO feeds (user_id, position, pruned) SELECT {user}, 0, 0 FROM {rows}")
    assert violations(alone.of_one) == ()


# What a statement of a function names a user by: its own argument, or that of the append at hand.
USERS = r"\b(owner|a\.user_id|current_owner|a_user_id\[i\]|change_user\[n\])"
# Rows of several users of one machine, in one statement: a tenth of the time of one for each.
OF_A_GROUP = r"\ba_user_id\[m\.append\]"


def queries_of(text: str) -> Iterator[str]:
    """The queries over tables in the text of a function, each up to what it is an expression in."""
    for begin in re.finditer(r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM)\b(?<!DO UPDATE)(?<!KEY UPDATE)", text):
        depth, end = 0, begin.start()
        while depth >= 0 and not re.match(r";|\sLOOP\b", text[end:]):
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        query = text[begin.start() : end - 1 if depth < 0 else end]
        yield re.sub(r"\bINTO (?:repeated|head|target|body|parent|last_position)\b", "", query)


@pytest.mark.parametrize(("name", "count"), [("append.sql", 20), ("lookups.sql", 7)])
def test_the_functions_name_the_user_for_every_table(name: str, count: int) -> None:
    text = re.sub(r"--.*", "", (APPEND / name).read_text()).replace("SELECT FROM", "SELECT 1 FROM")
    text = re.sub(r"\{extra_(columns|values)\}", "name", re.sub(f"{OF_A_GROUP}|{USERS}", ":owner", text))
    queries = list(queries_of(text))
    assert len(queries) >= count
    for query in queries:
        assert violations(query) == (), query
