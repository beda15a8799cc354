"""How much the database takes, and what in it."""

from typing import Any

from app.db.database import Database
from app.stats.database_kind import kind_of
from app.stats.totals import totals


async def storage(db: Database) -> dict[str, Any]:
    """The sizes of all there is, as `app.stats.schemas.StorageOut` says them. No row is counted."""
    found = await kind_of(db).storage(db)
    whole = await totals(db.driver, None)
    known = {"chats": whole["total_conversations"], "messages": whole["total_messages"]}
    for table in found["tables"]:
        table["rows"] = known.get(table["name"], table["rows"])
        sizes = [index["bytes"] for index in table["indexes"]]
        table["index_bytes"] = None if None in sizes else sum(sizes)
        if table["bytes"] is None:
            table["index_bytes"] = None
    return {"database": db.kind, **found}
