"""The raw driver, for the hottest statements: one SQL text with `$1`, `$2` … that runs on both databases.

SQLAlchemy's ORM costs four to five times the driver there, so these statements stand by their tables, small and few.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol


class Row(Protocol):
    """A row: its values by position."""

    def __getitem__(self, place: Any, /) -> Any: ...

    def __iter__(self) -> Iterator[Any]: ...

    def __len__(self) -> int: ...


class Driver(Protocol):
    """Reads by the driver. Arguments may be str, int, float, bool, datetime (aware) and None; rows are by position.

    Times come back as `datetime` from Postgres and as ISO text from SQLite, UUIDs as UUID or text, JSON as its text.
    """

    async def fetch(self, sql: str, *arguments: Any) -> Sequence[Row]:
        """Every row of the query."""
        ...

    async def fetch_one(self, sql: str, *arguments: Any) -> Row | None:
        """The first row of the query, or None."""
        ...

    async def close(self) -> None:
        """Closes every connection."""
        ...
