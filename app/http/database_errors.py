"""What a database error means for the caller: 503 or 507 where it is not ours, 500 where it is a defect.

What a programming error raises is a defect: wrong SQL, values that do not fit, a constraint that was not thought of, a
driver that is used wrongly. Everything else comes from outside (a server that ends, a disk, a network, an operator),
also where the driver itself lost its thread over it, and the same request may succeed in a moment.
"""

import errno
import io
import socket
import sqlite3
import ssl
from collections.abc import Iterator

import asyncpg
from asyncpg.exceptions import _base as asyncpg_base
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.http.errors import Overloaded, Problem, StorageFull

FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, sqlite3.Error, OSError)
"""What the drivers raise themselves, and the system under them; SQLAlchemy wraps some of it in errors of its own."""

# The connection broke or is of no use any more. What was asked for may have been done before it did.
_OUT_OF_REACH = (
    TimeoutError,
    PoolTimeout,
    DisconnectionError,
    # asyncpg's: its protocol was cut off, or is in no state to go on.
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    # The server's own word for it, or no word that asyncpg knows.
    asyncpg_base.FatalPostgresError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleSessionTimeoutError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TransactionTimeoutError,
    asyncpg.StatementCompletionUnknownError,
)
# The server did not do it, for reasons of its own or of whoever runs it: nothing was stored.
_REFUSED_BY_THE_SERVER = (
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresSystemError,
    asyncpg.InternalServerError,
    asyncpg.SnapshotTooOldError,
    asyncpg.ConfigFileError,
    asyncpg.FDWError,
    # It became a standby; it has another password, other grants, or is gone.
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.InvalidCatalogNameError,
    # A pooler gave us another connection; a migration changed a table meanwhile.
    asyncpg.InvalidSQLStatementNameError,
    asyncpg.InvalidCachedStatementError,
)
_BUSY = (asyncpg.TransactionRollbackError, asyncpg.LockNotAvailableError, asyncpg.ObjectInUseError)
_RACES = (
    asyncpg.UniqueViolationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
)
_FULL = (asyncpg.DiskFullError, asyncpg.OutOfMemoryError, asyncpg.PostgresIOError)
# Subclasses of the above that are ours: an argument that does not fit its type; two constraints at odds.
_DEFECTS = (asyncpg_base.DataError, asyncpg.TransactionIntegrityConstraintViolationError, io.UnsupportedOperation)

_SQLITE_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY}
_SQLITE_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL}
_SQLITE_BUSY |= {sqlite3.SQLITE_SCHEMA, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_ABORT}
# Such a file is not there, or not ours: whoever runs it has to look.
_SQLITE_OUT_OF_REACH = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_NOMEM}
_SQLITE_OUT_OF_REACH |= {sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}

_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}
_OUR_ERRORS = {errno.EBADF, errno.EINVAL, errno.EEXIST, errno.EISDIR, errno.ENOTDIR}


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
        if isinstance(cause, _DEFECTS):
            return None
        problem = _of_sqlite(cause) or _of_postgres(cause) or _of_the_system(cause)
        if problem is not None:
            return problem
    return None


def _out_of_reach() -> Problem:
    return Overloaded("The database is out of reach; try again shortly.", retry_after_seconds=2)


def _of_sqlite(error: BaseException) -> Problem | None:
    code = getattr(error, "sqlite_errorcode", None) if isinstance(error, sqlite3.Error) else None
    if code is None:
        return None
    # An extended code has the plain one in its last byte.
    plain = code & 0xFF
    if plain in _SQLITE_FULL:
        return StorageFull()
    if plain in _SQLITE_BUSY:
        return Overloaded()
    return _out_of_reach() if plain in _SQLITE_OUT_OF_REACH else None


def _of_postgres(error: BaseException) -> Problem | None:
    if isinstance(error, _FULL):
        return StorageFull()
    if isinstance(error, (*_OUT_OF_REACH, *_REFUSED_BY_THE_SERVER)):
        return _out_of_reach()
    return Overloaded() if isinstance(error, _BUSY) else None


def _of_the_system(error: BaseException) -> Problem | None:
    if not isinstance(error, OSError):
        return None
    if isinstance(error, ssl.SSLError | socket.gaierror):
        # Their numbers are others.
        return _out_of_reach()
    if error.errno in _DISK_ERRORS:
        return StorageFull()
    return None if error.errno in _OUR_ERRORS else _out_of_reach()


def rolled_back(error: BaseException) -> bool:
    """Whether the transaction that raised this certainly stored nothing.

    A connection that broke may have broken after the commit: such a write must not be tried again by us.
    """
    for cause in _chain(error):
        if isinstance(cause, (*_OUT_OF_REACH, OSError)):
            return False
        if isinstance(cause, asyncpg.PostgresError | sqlite3.Error):
            return True
    return False


def lost_a_race(error: BaseException) -> bool:
    """Whether the transaction stored nothing because another one was faster, so that it may be tried again."""
    return any(isinstance(cause, _RACES) or is_duplicate_in_copy(cause) for cause in _chain(error))


def is_duplicate_in_copy(error: BaseException) -> bool:
    """Whether it is the error by which Citus says that a COPY had a key twice: only its message tells."""
    return isinstance(error, asyncpg.InternalServerError) and "duplicate key value" in str(error)
