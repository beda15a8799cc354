"""SQL of the list of chats that differs between databases, on SQLite (https://www.sqlite.org/json1.html)."""

from collections.abc import Sequence


class SqliteListSql:
    """`ListSql` for SQLite."""

    def has_element(self, column: str, parameter: str) -> str:
        return f"EXISTS (SELECT 1 FROM json_each({column}) AS e WHERE e.value = {parameter})"

    def member(self, column: str, parameter: str) -> str:
        return f"({column} -> {parameter})"

    def member_name(self, name: str) -> str:
        return f'$."{name}"'

    def select_moved(self, columns: str, conditions: str) -> str:
        moved = "SELECT chat_id AS moved_id FROM moved_chats WHERE user_id = $1"
        return f"SELECT {columns} FROM ({moved}) CROSS JOIN chats ON chat_id = moved_id WHERE {conditions}"

    def merge(self, selects: Sequence[str], order: str) -> str:
        return f"{' UNION ALL '.join(selects)} {order}"
