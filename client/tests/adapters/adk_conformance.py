"""Runs Google ADK's own tests of session services with ours: a plugin for pytest.

ADK's tests are not in its packages; they are in the repository google/adk-python, at the tag of the version, and need
`google-adk[db]`, `pytest` and `pytest-asyncio`. With a service running, and a service key of it:

    CHATKEEP_URL=… CHATKEEP_KEY=… PYTHONPATH=<chatkeep>/client/tests/adapters pytest -p adk_conformance \\
        <adk-python>/tests/unittests/sessions/{test_session_service,test_get_user_state}.py

In the place of the service in memory, the one on SQLAlchemy and the one on SQLite, each test gets ours, for a user that
no other has. What is left out is listed below, with the reason.
"""

import os
import re
import sys
from typing import Any
from uuid import uuid4

import pytest
from google.adk.sessions import database_session_service, in_memory_session_service, sqlite_session_service

from chatkeep import AsyncChatkeep
from chatkeep.adk import ChatkeepSessionService

_SQL = "drives SQLAlchemy or its tables, which we have not"
_URLS = "on the URLs and files of ADK's SQLite service"
_MEMORY = "looks into the dictionaries of the service in memory, or at its deprecated methods that wait"
_OTHERS = "another service of ADK's, which is not replaced"

LEFT_OUT = {
    r"test_database_session_service_(?!with_db_url)\w+": _SQL,
    r"test_session_type_decorators\w+|test_dynamic_json_column\w+": _SQL,
    r"\w+_rollback_on_commit_failure|test_service_recovers_after_multiple_failures": _SQL,
    r"\w+_reads_storage_revision_before_commit|\w*prepare_tables\w*|test_get_or_create_state_\w+": _SQL,
    r"test_append_event_raises_if_(app|user)_state_row_missing|test_append_event_locks_only_scopes\w+": _SQL,
    r"test_sqlite_session_service_\w+": _URLS,
    r"test_append_event_when_session_is_same_ref_as_storage_session": _MEMORY,
    r"test_get_user_state_copies_to_session_state_depth|\w+_session_sync_\w+|test_list_sessions_sync_\w+": _MEMORY,
    r"test_vertex_ai_\w+": _OTHERS,
    r"\w+\[(redis|per_agent_database)\]": _OTHERS,
    r"\w+\[(in_memory_light_copy|database|sqlite)\]": "the same as with [in_memory]: all of them are ours",
    r"test_get_session_orders_tied_timestamps_by_id\[True-\w+.*\]": "we keep the order of appending, as the service in "
    "memory does; those on SQL have none but times and ids",
}


class Ours(ChatkeepSessionService):
    """Our service in the place of one of ADK's, whatever that is made with."""

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        service = AsyncChatkeep(os.environ["CHATKEEP_URL"], os.environ["CHATKEEP_KEY"], user_id=f"adk-{uuid4()}")
        super().__init__(service)

    async def close(self) -> None:
        await self._client.aclose()


def pytest_configure() -> None:
    """Before ADK's tests import its services."""
    for module, name in (
        (in_memory_session_service, "InMemorySessionService"),
        (database_session_service, "DatabaseSessionService"),
        (sqlite_session_service, "SqliteSessionService"),
    ):
        setattr(module, name, Ours)
        setattr(sys.modules["google.adk.sessions"], name, Ours)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what is none of our business."""
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        known = any(re.fullmatch(rf"({pattern})(\[.*\])?", item.name) for pattern in LEFT_OUT)
        (left_out if known else kept).append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept
