"""The registry of what belongs to a user and to a chat knows every table."""

import pytest
from sqlalchemy import Table

from app.models import metadata
from app.models.registry import CHAT_KEY, OwnedTable, owned_tables

OWNED = {table.name: table for table in owned_tables()}


@pytest.mark.parametrize("table", metadata.tables.values(), ids=lambda table: table.name)
def test_a_table_is_registered_under_what_its_rows_go_with(table: Table) -> None:
    assert table.name in OWNED, f"the model of {table.name} says by `owned` what its rows go with"
    columns, owner = table.columns.keys(), OWNED[table.name].owner
    assert "user_id" in columns
    if "chat_id" in columns and table.name != "chats":
        assert owner in ("chat", "messages", "message")
    if owner == "message":
        assert "seq" in columns


@pytest.mark.parametrize("table", OWNED.values(), ids=lambda table: table.name)
def test_rows_that_the_database_deletes_go_with_their_chat(table: OwnedTable) -> None:
    for constraint in table.table.foreign_key_constraints:
        assert constraint.ondelete == "CASCADE"
        assert tuple(constraint.column_keys)[:2] == CHAT_KEY


def test_records_are_of_tables_whose_key_begins_with_the_chat() -> None:
    for table in OWNED.values():
        if table.record is not None:
            assert table.key[:2] == CHAT_KEY
            assert len(table.key) > 2
