"""What a database error means for the caller."""

import sqlite3
from collections.abc import Iterator

import asyncpg
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.http.errors import Overloaded, Problem, StorageFull

_OUT_OF_REACH = (
    ConnectionError,
    TimeoutError,
    PoolTimeout,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)
_BUSY = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.LockNotAvailableError)
_RACES = (asyncpg.UniqueViolationError, *_BUSY)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen = 0
    while error is not None and seen < 10:
        yield error
        error = getattr(error, "orig", None) or error.__cause__
        seen += 1


def problem_of(error: BaseException) -> Problem | None:
    """The Problem that a database error is answered with, or None where it is a defect of ours."""
    for cause in _chain(error):
        if isinstance(cause, Problem):
            return cause
        if isinstance(cause, asyncpg.DiskFullError | asyncpg.OutOfMemoryError):
            return StorageFull()
        if isinstance(cause, sqlite3.Error):
            match getattr(cause, "sqlite_errorcode", 0) & 0xFF:
                case sqlite3.SQLITE_FULL | sqlite3.SQLITE_IOERR:
                    return StorageFull()
                case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED | sqlite3.SQLITE_CANTOPEN:
                    return Overloaded()
        if isinstance(cause, _OUT_OF_REACH):
            return Overloaded("The database is out of reach; try again shortly.", retry_after_seconds=2)
        if isinstance(cause, _BUSY):
            return Overloaded()
    return None


def rolled_back(error: BaseException) -> bool:
    """Whether the transaction that raised this certainly stored nothing.

    A connection that broke may have broken after the commit: such a write must not be tried again by us.
    """
    for cause in _chain(error):
        if isinstance(cause, _OUT_OF_REACH):
            return False
        if isinstance(cause, asyncpg.PostgresError | sqlite3.Error):
            return True
    return False


def lost_a_race(error: BaseException) -> bool:
    """Whether the transaction stored nothing because another one was faster, so that it may be tried again."""
    return any(isinstance(cause, _RACES) for cause in _chain(error))
