"""Statistics SQL of Postgres: unread changes, rows as JSON, and the sizes of tables and indexes."""

from collections.abc import Sequence
from typing import Any

from app.db.database import Database

_SIZES = """
SELECT c.relname, pg_table_size(c.oid), c.reltuples::bigint FROM pg_class c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
ORDER BY c.relname
"""
_INDEXES = """
SELECT t.relname, i.relname, pg_relation_size(i.oid) FROM pg_index x
JOIN pg_class t ON t.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
WHERE t.relnamespace = current_schema()::regnamespace AND t.relkind IN ('r', 'p')
ORDER BY 1, 2
"""


class PostgresStats:
    """Statistics SQL of Postgres."""

    changes = """
SELECT w.user_id, u.position, u.longest, f.position, c.position, c.at, c.events, c.deltas
FROM json_array_elements_text($1::text::json) AS w (user_id)
JOIN feeds f ON f.user_id = w.user_id
LEFT JOIN usage u ON u.user_id = w.user_id
LEFT JOIN LATERAL (
    SELECT * FROM changes c WHERE c.user_id = w.user_id AND c.position > coalesce(u.position, 0)
    ORDER BY c.position LIMIT $2
) c ON true
WHERE f.position > coalesce(u.position, 0)
ORDER BY w.user_id, c.position
"""
    user_changes = """
SELECT f.user_id, u.position, u.longest, f.position, c.position, c.at, c.events, c.deltas
FROM feeds f LEFT JOIN usage u ON u.user_id = $1
LEFT JOIN LATERAL (
    SELECT * FROM changes c WHERE c.user_id = $1 AND c.position > coalesce(u.position, 0)
    ORDER BY c.position LIMIT $2
) c ON true
WHERE f.user_id = $1 AND f.position > coalesce(u.position, 0)
ORDER BY c.position
"""
    least, greatest = "least", "greatest"

    def rows(self, types: Sequence[str]) -> str:
        columns = ", ".join(f"(value ->> {n})::{kind} AS c{n}" for n, kind in enumerate(types))
        # OFFSET 0: otherwise each value is extracted again for every row that it is joined with.
        return f"(SELECT {columns} FROM json_array_elements($1::text::json) OFFSET 0) AS args"

    async def storage(self, db: Database) -> dict[str, Any]:
        database_size = await db.driver.fetch_one("SELECT pg_database_size(current_database())")
        assert database_size is not None
        indexes: dict[str, list[dict[str, Any]]] = {}
        for table, name, size in await db.driver.fetch(_INDEXES):
            indexes.setdefault(table, []).append({"name": name, "bytes": size})
        tables = [
            {"name": name, "bytes": size, "rows": rows if rows >= 0 else None, "indexes": indexes.get(name, [])}
            for name, size, rows in await db.driver.fetch(_SIZES)
        ]
        # The write-ahead log is of the whole server, and free space is inside the tables.
        return {"total_bytes": database_size[0], "free_bytes": None, "wal_bytes": None, "tables": tables}
