"""Any failure of a driver that is not ours is a 503 or a 507; wrong SQL and values that do not fit are a 500."""

import asyncio
import contextlib
import errno
import inspect
import io
import random
import socket
import sqlite3
import ssl
from collections.abc import Iterator
from typing import Any

import asyncpg
import httpx2
import pytest
from asyncpg.exceptions import _base
from fastapi import FastAPI
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.http.database_errors import lost_a_race, problem_of, rolled_back
from app.main import create_app
from app.settings import Settings
from tests.callers import acting, every_item, ok, started
from tests.profiles import count

DEFECT, BUSY, FULL = None, 503, 507

# By class, the first two characters of a code (https://www.postgresql.org/docs/current/errcodes-appendix.html). What
# is in none of them is a defect: wrong SQL, a value that does not fit, a constraint, a function of ours.
NOT_OURS = {
    "08": "the connection",
    "26": "a pooler took the prepared statement away",
    "28": "the password was changed",
    "3D": "the database is gone",
    "40": "another transaction was in the way",
    "53": "no memory, no connections, no disk",
    "57": "an operator",
    "58": "the system under the server",
    "72": "a snapshot that was held too long",
    "F0": "its configuration",
    "HV": "a foreign server",
    "XX": "the server's own defects, and damaged files",
}
EXCEPTIONS = {
    "0A000/InvalidCachedStatementError": BUSY,  # a migration changed the table meanwhile
    "25006": BUSY,  # the server became a standby
    "25P03": BUSY,  # a session that was ended for idling
    "25P04": BUSY,
    "40002": DEFECT,  # two constraints of ours at odds
    "42501": BUSY,  # somebody took a grant away
    "53100": FULL,
    "53200": FULL,
    "55006": BUSY,
    "55P03": BUSY,
    "58030": FULL,
}
OF_ASYNCPG = [
    kind
    for kind in vars(asyncpg.exceptions).values()
    if inspect.isclass(kind) and issubclass(kind, asyncpg.PostgresError)
]
OF_ITS_PROTOCOL = [
    asyncpg.InternalClientError,
    asyncpg.ProtocolError,
    asyncpg.OutdatedSchemaCacheError,
    asyncpg.TargetServerAttributeNotMatched,
    asyncpg.InterfaceError,
    asyncpg.ClientConfigurationError,
    asyncpg.UnsupportedServerFeatureError,
    _base.FatalPostgresError,
    _base.UnknownPostgresError,
]
SQLITE = {
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_READONLY: FULL,
    sqlite3.SQLITE_IOERR: FULL,
    sqlite3.SQLITE_IOERR_WRITE: FULL,
    sqlite3.SQLITE_BUSY: BUSY,
    sqlite3.SQLITE_BUSY_SNAPSHOT: BUSY,
    sqlite3.SQLITE_LOCKED: BUSY,
    sqlite3.SQLITE_CANTOPEN: BUSY,
    sqlite3.SQLITE_PROTOCOL: BUSY,
    sqlite3.SQLITE_SCHEMA: BUSY,
    sqlite3.SQLITE_INTERRUPT: BUSY,
    sqlite3.SQLITE_ABORT: BUSY,
    sqlite3.SQLITE_CORRUPT: BUSY,
    sqlite3.SQLITE_CORRUPT_INDEX: BUSY,
    sqlite3.SQLITE_NOTADB: BUSY,
    sqlite3.SQLITE_NOMEM: BUSY,
    sqlite3.SQLITE_PERM: BUSY,
    sqlite3.SQLITE_ERROR: DEFECT,
    sqlite3.SQLITE_CONSTRAINT_UNIQUE: DEFECT,
    sqlite3.SQLITE_MISMATCH: DEFECT,
    sqlite3.SQLITE_MISUSE: DEFECT,
    sqlite3.SQLITE_RANGE: DEFECT,
    sqlite3.SQLITE_TOOBIG: DEFECT,
}
OF_THE_SYSTEM: list[tuple[BaseException, int | None]] = [
    (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), BUSY),
    (ConnectionResetError(), BUSY),
    (BrokenPipeError(), BUSY),
    (TimeoutError(), BUSY),
    (PoolTimeout(), BUSY),
    (OSError(errno.EHOSTUNREACH, "no route"), BUSY),
    (OSError(errno.ENETUNREACH, "no network"), BUSY),
    (OSError(errno.EMFILE, "too many files"), BUSY),
    # asyncpg's, where some of a host's addresses refuse.
    (OSError("Multiple exceptions: [Errno 111] …"), BUSY),
    # The socket of a server that does not run.
    (FileNotFoundError(errno.ENOENT, "no such file"), BUSY),
    (socket.gaierror(socket.EAI_AGAIN, "no name server"), BUSY),
    (ssl.SSLError(1, "handshake"), BUSY),
    (OSError(errno.ENOSPC, "no space"), FULL),
    (OSError(errno.EROFS, "read only"), FULL),
    (OSError(errno.EBADF, "bad file"), DEFECT),
    (OSError(errno.EINVAL, "invalid"), DEFECT),
    (io.UnsupportedOperation("not writable"), DEFECT),
    (ValueError("ours"), DEFECT),
    (KeyError("ours"), DEFECT),
]


def ways(error: BaseException) -> Iterator[BaseException]:
    """An error as it is, as SQLAlchemy wraps it, and as the cause of another one."""
    yield error
    yield DBAPIError("SELECT 1", {}, error)
    with contextlib.suppress(RuntimeError):
        raise RuntimeError from error
    other = RuntimeError()
    other.__cause__ = error
    yield other


def is_answered(error: BaseException, status: int | None) -> None:
    """Fails unless the status is that of an error, in whatever way it comes."""
    for way in ways(error):
        found = problem_of(way)
        assert (None if found is None else found.status) == status, repr(way)
        if status == 503:
            assert found is not None
            assert "Retry-After" in (found.headers or {})


def test_every_error_that_postgres_can_tell() -> None:
    assert len(OF_ASYNCPG) > 200
    for kind in OF_ASYNCPG:
        code: str | None = getattr(kind, "sqlstate", None)
        if code is None:
            assert kind in (asyncpg.PostgresError, _base.FatalPostgresError, _base.UnknownPostgresError)
            is_answered(kind("x"), DEFECT if kind is asyncpg.PostgresError else BUSY)
            continue
        as_its_class = BUSY if code[:2] in NOT_OURS else DEFECT
        is_answered(kind("x"), EXCEPTIONS.get(f"{code}/{kind.__name__}", EXCEPTIONS.get(code, as_its_class)))


def test_a_driver_that_lost_its_thread() -> None:
    for kind in OF_ITS_PROTOCOL:
        is_answered(kind("cannot switch to state 12; protocol is in the 'failed' state"), BUSY)
        # What it was at may be stored: nothing is tried again behind the caller's back.
        assert not rolled_back(kind("x"))
        assert not lost_a_race(kind("x"))


def test_a_value_that_does_not_fit_is_ours() -> None:
    # Not asyncpg.DataError, which is the server's word for the same.
    is_answered(_base.DataError("invalid input for query argument $1"), DEFECT)


def test_every_error_that_sqlite_can_tell() -> None:
    for code, status in SQLITE.items():
        error = sqlite3.OperationalError("x")
        error.sqlite_errorcode = code
        is_answered(error, status)


def test_what_the_system_refuses() -> None:
    for error, status in OF_THE_SYSTEM:
        is_answered(error, status)


def raisable() -> list[BaseException]:
    """One error of each kind that is not ours."""
    full = sqlite3.OperationalError("x")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    return [
        *(kind("x") for kind in (*OF_ITS_PROTOCOL, *OF_ASYNCPG) if problem_of(kind("x")) is not None),
        *(error for error, status in OF_THE_SYSTEM if status is not None),
        full,
        DBAPIError("SELECT 1", {}, asyncpg.AdminShutdownError("x")),
    ]


async def test_the_service_answers_so() -> None:
    app = create_app(Settings(database_url="sqlite:///unused.db", log_level="error"))
    errors = raisable()

    async def fails(number: int) -> None:
        raise errors[number]

    app.add_api_route("/fails", fails)
    async with acting(app, {}) as client:
        for number, error in enumerate(errors):
            answer = await client.get("/fails", params={"number": number})
            assert answer.status_code in (503, 507), repr(error)
            assert answer.headers["content-type"] == "application/problem+json"
            assert ("Retry-After" in answer.headers) == (answer.status_code == 503)
        errors[:] = [asyncpg.PostgresSyntaxError("x")]
        assert (await client.get("/fails", params={"number": 0})).status_code == 500


async def terminate_backends(url: str, source: random.Random, enough: asyncio.Event) -> int:
    """Ends connections of a database at random, one after the other, until that is enough. How many it ended."""
    administrator = await asyncpg.connect(url)
    ended = 0
    try:
        while not enough.is_set():
            found = await administrator.fetch(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            if found:
                ended += await administrator.fetchval("SELECT pg_terminate_backend($1)::int", source.choice(found)[0])
            await asyncio.sleep(source.uniform(0, 0.02))
    finally:
        await administrator.close()
    return ended


@pytest.mark.databases("postgres")
async def test_backends_that_end_in_the_middle_of_everything(
    settings: Settings, fresh_database_url: str, as_user: Any, seed: int
) -> None:
    enough = asyncio.Event()
    source = random.Random(seed)
    acknowledged: list[list[str]] = []
    turns = count(fast=15, all=40)

    async def write(app: FastAPI, number: int) -> None:
        stored: list[str] = []
        acknowledged.append(stored)
        async with acting(app, as_user("ann")) as client:
            for turn in range(turns):
                name = f"{number}-{turn}"
                answer = await client.post(f"/chats/key:{number % 4}/messages", json={"role": "user", "content": name})
                is_good(answer)
                if answer.is_success:
                    stored.append(name)
                is_good(await client.get(f"/chats/key:{number % 4}/messages", params={"last": 3}))
                is_good(await client.patch(f"/chats/key:{number % 4}", json={"title": name}))

    async with started(settings.model_copy(update={"database_url": fresh_database_url})) as app:
        ending = asyncio.create_task(terminate_backends(fresh_database_url, source, enough))
        try:
            await asyncio.gather(*(write(app, number) for number in range(12)))
        finally:
            enough.set()
        assert await ending > 0
        async with acting(app, as_user("ann")) as client:
            for chat in range(4):
                messages = await whole(client, f"/chats/key:{chat}/messages")
                said = [one["content"] for one in messages]
                assert [one["seq"] for one in messages] == [*range(1, len(messages) + 1)]
                assert len(set(said)) == len(said)
                for stored in acknowledged[chat::4]:
                    kept = set(stored)
                    assert [one for one in said if one in kept] == stored


def is_good(answer: httpx2.Response) -> None:
    """Fails unless it was done, or put off; a chat may not be there yet, since nothing was stored in it."""
    assert answer.is_success or answer.status_code in (404, 503), answer.text
    if answer.status_code == 503:
        assert int(answer.headers["Retry-After"]) > 0


async def whole(client: httpx2.AsyncClient, path: str) -> list[Any]:
    """Every message; the first connections may still be found broken."""
    for _ in range(50):
        if (await client.get(path)).status_code != 503:
            break
    return await every_item(client, path) if ok(await client.get(path)) else []
