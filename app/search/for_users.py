"""A statement for rows of many users, and the same for one, which Citus sends to the machine that has the user.

Many together cost a consumer of the event log a fraction on plain Postgres; whoever waits for a search asks for one.
"""


class ForUsers:
    """A statement with `{rows}`, a FROM item `w` of rows with their `ordinality`, and `{user}`, whose row it is.

    Its parameters are arrays, one for each column: first the users, then `columns` by name, each with its type.

    Attributes:
        of_many: the statement for rows of many users.
        of_one: the one for rows of a single user, whose id is `$1` instead of an array.
    """

    def __init__(self, statement: str, **columns: str) -> None:
        arrays = [f"${number}::{kind}[]" for number, kind in enumerate(columns.values(), 2)]
        many = f"unnest({', '.join(['$1::text[]', *arrays])}) WITH ORDINALITY AS w({', '.join(['user_id', *columns])})"
        one = "(SELECT 1) AS w"
        if columns:
            one = f"unnest({', '.join(arrays)}) WITH ORDINALITY AS w({', '.join(columns)})"
        self.of_many = statement.format(rows=many, user="w.user_id")
        self.of_one = statement.format(rows=one, user="$1::text")
