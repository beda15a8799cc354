"""SQL that looks into JSON columns, on SQLite (https://www.sqlite.org/json1.html)."""


class SqliteJson:
    """`JsonSql` for SQLite."""

    def has_element(self, column: str, parameter: str) -> str:
        return f"EXISTS (SELECT 1 FROM json_each({column}) AS e WHERE e.value = {parameter})"

    def member(self, column: str, parameter: str) -> str:
        return f"({column} -> {parameter})"

    def member_name(self, name: str) -> str:
        return f'$."{name}"'

    def is_one_of(self, column: str, subquery: str) -> str:
        return f"{column} IN ({subquery})"
