"""Statistics SQL of SQLite: unread changes, rows as JSON, and the sizes of tables and indexes."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from app.db.database import Database
from app.db.sqlite import path

# A virtual table has its data in tables of its own (https://www.sqlite.org/fts5.html#fts5_data_structures).
_TABLES = """
SELECT m.name, m.type, coalesce(
    (SELECT v.name FROM sqlite_schema v WHERE v.sql LIKE 'CREATE VIRTUAL TABLE%' AND m.tbl_name LIKE v.name || '\\_%'
        ESCAPE '\\'),
    m.tbl_name
) FROM sqlite_schema m WHERE m.type IN ('table', 'index') ORDER BY m.name
"""


class SqliteStats:
    """Statistics SQL of SQLite."""

    changes = """
SELECT f.user_id, u.position, u.longest, f.position, c.position, c.at, c.events, c.deltas
FROM json_each($1) w
CROSS JOIN feeds f ON f.user_id = w.value
LEFT JOIN usage u ON u.user_id = f.user_id
LEFT JOIN changes c ON c.user_id = f.user_id AND c.position > coalesce(u.position, 0) AND c.position <= coalesce(
    (
        SELECT l.position FROM changes l WHERE l.user_id = f.user_id AND l.position > coalesce(u.position, 0)
        ORDER BY l.position LIMIT 1 OFFSET $2 - 1
    ),
    f.position
)
WHERE f.position > coalesce(u.position, 0)
ORDER BY f.user_id, c.position
"""
    user_changes = """
SELECT f.user_id, u.position, u.longest, f.position, c.position, c.at, c.events, c.deltas
FROM feeds f
LEFT JOIN usage u ON u.user_id = $1
LEFT JOIN changes c ON c.user_id = $1 AND c.position > coalesce(u.position, 0) AND c.position <= coalesce(
    (
        SELECT l.position FROM changes l WHERE l.user_id = $1 AND l.position > coalesce(u.position, 0)
        ORDER BY l.position LIMIT 1 OFFSET $2 - 1
    ),
    f.position
)
WHERE f.user_id = $1 AND f.position > coalesce(u.position, 0)
ORDER BY c.position
"""
    least, greatest = "min", "max"

    def rows(self, types: Sequence[str]) -> str:
        columns = ", ".join(f"json_extract(value, '$[{n}]') AS c{n}" for n in range(len(types)))
        return f"(SELECT {columns} FROM json_each($1)) AS args"

    async def storage(self, db: Database) -> dict[str, Any]:
        values = [await db.driver.fetch_one(f"PRAGMA {name}") for name in ("page_size", "page_count", "freelist_count")]
        page_size, pages, free = (row[0] if row else 0 for row in values)
        sizes = await _sizes(db)
        tables: dict[str, dict[str, Any]] = {}
        for name, kind, owner in await db.driver.fetch(_TABLES):
            table = tables.setdefault(owner, {"name": owner, "bytes": sizes and 0, "rows": None, "indexes": []})
            if kind == "index":
                table["indexes"].append({"name": name, "bytes": sizes.get(name, 0) if sizes else None})
            elif sizes:
                table["bytes"] += sizes.get(name, 0)
        log = path(db.url).with_name(path(db.url).name + "-wal")
        return {
            "total_bytes": page_size * pages,
            "free_bytes": page_size * free,
            "wal_bytes": log.stat().st_size if log.exists() else 0,
            "tables": sorted(tables.values(), key=lambda table: table["name"]),
        }


async def _sizes(db: Database) -> dict[str, int] | None:
    """The bytes of each table and index; None where SQLite was built without `dbstat`."""
    try:
        rows = await db.driver.fetch("SELECT name, pgsize FROM dbstat WHERE aggregate = true")
    except sqlite3.OperationalError:
        return None
    return {row[0]: row[1] for row in rows}
