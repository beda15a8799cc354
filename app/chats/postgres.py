"""SQL of the list of chats that differs between databases, on Postgres."""

from collections.abc import Sequence


class PostgresListSql:
    """`ListSql` for Postgres."""

    def has_element(self, column: str, parameter: str) -> str:
        return f"EXISTS (SELECT 1 FROM json_array_elements_text({column}) AS e WHERE e = {parameter}::text)"

    def member(self, column: str, parameter: str) -> str:
        return f"({column} -> {parameter}::text)::text"

    def member_name(self, name: str) -> str:
        return name

    def select_moved(self, columns: str, conditions: str) -> str:
        # One look-up in the primary key for each, whatever the planner thinks of a table that was never analysed.
        chat = "SELECT * FROM chats c WHERE c.user_id = $1 AND c.chat_id = m.chat_id LIMIT 1"
        moved = f"SELECT chat.* FROM moved_chats m CROSS JOIN LATERAL ({chat}) AS chat WHERE m.user_id = $1"
        return f"SELECT {columns} FROM ({moved}) AS moved WHERE {conditions}"

    def merge(self, selects: Sequence[str], order: str) -> str:
        if len(selects) == 1:
            return f"{selects[0]} {order}"
        # Without an order and a limit of its own, the planner reads all of a select and sorts it.
        return f"{' UNION ALL '.join(f'({select} {order})' for select in selects)} {order}"
