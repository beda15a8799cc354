"""What differs between the databases in the statistics, behind one Protocol."""

from collections.abc import Sequence
from typing import Any, Protocol

from app.db.database import Database
from app.stats.postgres import PostgresStats
from app.stats.sqlite import SqliteStats


class StatsSql(Protocol):
    """SQL of one database."""

    changes: str
    """What users (a JSON array of ids, $1) have that is not added up, at most $2 rows of each: user_id, `position` and
    `longest` of the counters (NULL without any), `position` of the feed, and of the changes `position`, `at`, `entries`
    and `counts`. Users in turn, changes in their order; those of a user who has none are NULL."""

    def rows(self, types: Sequence[str]) -> str:
        """A FROM item of rows that are arrays in a JSON array, $1: its columns are c0, c1 …, of these types."""
        ...

    least: str
    greatest: str
    """The functions that give the least and the greatest of their arguments."""

    async def storage(self, db: Database) -> dict[str, Any]:
        """What the database takes, as `app.stats.schemas.StorageOut` says it, the rows of tables aside."""
        ...


def kind_of(db: Database) -> StatsSql:
    """The SQL of the open database."""
    return SqliteStats() if db.kind == "sqlite" else PostgresStats()
