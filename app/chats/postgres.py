"""Looking into JSON columns on Postgres."""


class PostgresJson:
    """See JsonSql."""

    def has_element(self, column: str, parameter: str) -> str:
        return f"EXISTS (SELECT 1 FROM json_array_elements_text({column}) AS e WHERE e = {parameter}::text)"

    def member(self, column: str, parameter: str) -> str:
        return f"({column} -> {parameter}::text)::text"

    def member_name(self, name: str) -> str:
        return name
