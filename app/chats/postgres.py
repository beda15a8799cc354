"""SQL that looks into JSON columns, on Postgres."""


class PostgresJson:
    """`JsonSql` for Postgres."""

    def has_element(self, column: str, parameter: str) -> str:
        return f"EXISTS (SELECT 1 FROM json_array_elements_text({column}) AS e WHERE e = {parameter}::text)"

    def member(self, column: str, parameter: str) -> str:
        return f"({column} -> {parameter}::text)::text"

    def member_name(self, name: str) -> str:
        return name

    def is_one_of(self, column: str, subquery: str) -> str:
        # An array, so that no plan reads all chats of a user whatever it expects of the subquery.
        return f"{column} = ANY (ARRAY({subquery}))"
