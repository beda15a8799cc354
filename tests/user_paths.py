"""The rule of statements: what a request sends names its user as a value for every table in it (pytest plugin).

`user_id = $1` for each table, aliases, subqueries and LATERALs included, makes isolation structural, and lets Citus
send the statement to the one worker that has the user. One that takes the user from another table, from unnest or from
JSON goes to all of them, and fails for everybody while one is down. `INSERT` has `user_id` as a value; rows are locked
one table at a time, without IN, ANY and joins, which Citus refuses.

While the suite runs, every statement that a request causes is read by a parser, whichever test sends it: a test whose
requests break the rule fails. `EXCEPTIONS` has those that may, each with its reason.

(PYTEST_DONT_REWRITE: conftest.py imports it before pytest does.)
"""

import re
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import pytest
import sqlglot
from fastapi import FastAPI
from sqlalchemy import Engine, event
from sqlglot import exp

from app.db.postgres import PostgresDriver
from app.models import metadata

USER_TABLES = {name for name, table in metadata.tables.items() if "user_id" in table.c} - {"api_keys"}
"""The tables that are distributed by `user_id`. `api_keys` is one that every worker has."""

# Routes of administrators: over all users always, or where they ask for all or name nobody.
OF_ALL_USERS = {"/stats/top", "/stats/storage"}
OF_ALL_IF_ASKED = {"/stats", "/stats/daily", "/export"}
# What else need not keep the rule, by the beginning of the statement, with the reason.
EXCEPTIONS = {
    "\nWITH scanned_documents": "with CHATKEEP_CITUS it does; elsewhere plans would go by user, not by word",
}

_route: ContextVar[str | None] = ContextVar("route", default=None)
_broken: list[str] = []


@lru_cache(maxsize=20_000)
def violations(statement: str) -> tuple[str, ...]:
    """What breaks the rule in a statement, in words; nothing where it is kept."""
    if re.match(r"\s*(BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|SET|SHOW|select pg_catalog)", statement):
        return ()
    tree = sqlglot.parse_one(statement, read="postgres")
    found = [f"{name}: no user_id = $n" for name in _tables_without_user(tree)]
    found += [
        f"{insert.this.sql()}: user_id is no value" for insert in tree.find_all(exp.Insert) if not _gives_user(insert)
    ]
    for select in tree.find_all(exp.Select):
        where = select.args.get("where")
        if select.args.get("locks") and (
            select.args.get("joins") or (where is not None and where.find(exp.In, exp.Any))
        ):
            found.append("locks rows by a join, IN or ANY")
    return tuple(found)


def _tables_without_user(tree: exp.Expr) -> Iterator[str]:
    names = {cte.alias for cte in tree.find_all(exp.CTE)}
    for table in tree.find_all(exp.Table):
        if table.name in USER_TABLES - names and not isinstance(table.parent, exp.Schema | exp.Insert):
            query = table.find_ancestor(exp.Select, exp.Update, exp.Delete)
            if query is None or not _names_user(query, table):
                yield table.sql()


def _names_user(query: exp.Expr, table: exp.Table) -> bool:
    """Whether a condition of the query, beside all others, is `user_id = $n` for that table."""
    is_alone = len(list(_sources(query))) == 1
    for condition in _conditions(query):
        if isinstance(condition, exp.EQ):
            for column, value in ((condition.left, condition.right), (condition.right, condition.left)):
                if not isinstance(column, exp.Column) or column.name != "user_id" or not _is_value(value):
                    continue
                if column.table == table.alias_or_name or (not column.table and is_alone):
                    return True
    return False


def _conditions(query: exp.Expr) -> Iterator[exp.Expr]:
    """All that must hold for a row of the query."""
    where = query.args.get("where")
    waiting = [where and where.this, *(join.args.get("on") for join in query.args.get("joins") or ())]
    while waiting:
        condition = waiting.pop()
        if isinstance(condition, exp.And | exp.Paren):
            waiting += [condition.this, condition.args.get("expression")]
        elif condition is not None:
            yield condition


def _sources(query: exp.Expr) -> Iterator[exp.Expr]:
    if isinstance(query, exp.Update | exp.Delete):
        yield query.this
    if (source := query.args.get("from_") or query.args.get("from")) is not None:
        yield source.this
    for join in query.args.get("joins") or ():
        yield join.this
    yield from query.args.get("using") or ()


def _is_value(value: exp.Expr | None) -> bool:
    while isinstance(value, exp.Cast | exp.Paren):
        value = value.this
    return isinstance(value, exp.Parameter | exp.Placeholder)


def _gives_user(insert: exp.Insert) -> bool:
    """Whether an INSERT has its user as a value."""
    schema = insert.this
    if not isinstance(schema, exp.Schema) or schema.this.name not in USER_TABLES:
        return not isinstance(schema, exp.Table) or schema.name not in USER_TABLES
    index = [column.name for column in schema.expressions].index("user_id")
    source = insert.expression
    if isinstance(source, exp.Values):
        return all(_is_value(row.expressions[index]) for row in source.expressions)
    select = source.find(exp.Select)
    return select is not None and index < len(select.selects) and _is_value(select.selects[index].unalias())


def _note(statement: str) -> None:
    route = _route.get()
    if route is None or statement.startswith(tuple(EXCEPTIONS)):
        return
    text = " ".join(statement.split())
    _broken.extend(f"{route}\n  {violation}\n  {text}" for violation in violations(statement))


async def _mark(self: FastAPI, scope: Any, receive: Any, send: Any) -> None:
    path = scope.get("path", "").rstrip("/")
    names_user = any(name == b"x-user-id" for name, _ in scope.get("headers", ()))
    names_user &= b"all_users" not in scope.get("query_string", b"")
    is_of_all = path in OF_ALL_USERS or (path in OF_ALL_IF_ASKED and not names_user)
    token = _route.set(None if is_of_all else f"{scope.get('method', scope['type'])} {path}")
    try:
        await _call(self, scope, receive, send)
    finally:
        _route.reset(token)


_call = FastAPI.__call__


def _note_execution(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
    if connection.dialect.name == "postgresql":
        _note(statement)


def _watched(method: Callable[..., Any]) -> Callable[..., Any]:
    async def watched(self: Any, sql: str, *arguments: Any) -> Any:
        _note(sql)
        return await method(self, sql, *arguments)

    return watched


def pytest_configure(config: pytest.Config) -> None:
    """From here on statements are read."""
    FastAPI.__call__ = _mark  # type: ignore[method-assign]
    for name in ("fetch", "fetch_one"):
        setattr(PostgresDriver, name, _watched(getattr(PostgresDriver, name)))
    event.listen(Engine, "before_cursor_execute", _note_execution)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Any:
    """A test whose requests broke the rule fails."""
    _broken.clear()
    result = yield
    assert not _broken, "\n".join(_broken)
    return result
