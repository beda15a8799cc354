"""Settings and database of the commands that work straight on it, and how commands fail."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import typer
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from app.db.database import Database
from app.db.migrations import UnknownSchema
from app.http.errors import Problem
from app.settings import Settings


def failure(message: str) -> typer.Exit:
    """Prints why a command failed on the standard error; gives the exit (code 1) to raise."""
    typer.echo(message, err=True)
    return typer.Exit(1)


def read_settings() -> Settings:
    """The settings; exits saying what is wrong with them, without their values: some are secrets."""
    try:
        return Settings()
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, problem['loc']))} {problem['msg']}".strip() for problem in error.errors()]
        raise failure(f"The settings are not right: {'; '.join(problems)}") from None


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """The database of the settings, open; exits with a line, not a traceback, when it fails."""
    try:
        db = await Database.open(settings)
    except (OSError, ValueError, SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise failure(f"The database cannot be opened: {error}") from None
    try:
        yield db
    except UnknownSchema as error:
        raise failure(str(error)) from None
    except Problem as problem:
        raise failure(problem.detail) from None
    except DBAPIError as error:
        raise failure(f"The database refused: {error.orig}\nIf it was not migrated yet: chatkeep migrate") from None
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise failure(f"The database failed: {error}") from None
    finally:
        await db.close()
