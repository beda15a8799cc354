"""Runs the Agents SDK's own session tests with `ChatkeepSession` in the place of its SQLite sessions.

    python tests/openai_agents/sdk.py <folder of the unpacked source distribution> [arguments for pytest]

in `client/`, with CHATKEEP_URL and CHATKEEP_KEY of a running service, whose key may act for any user. The tests are the
SDK's, from its source distribution (`pip download --no-deps --no-binary openai-agents openai-agents==0.24.0`), and are
read as they are; what is not run is listed with the reason for it.
"""

import hashlib
import importlib
import inspect
import os
import sys
import warnings
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from agents import SessionSettings

from chatkeep.openai_agents import ChatkeepSession

# Where the names stand that the tests import.
REPLACED = (
    ("agents", "SQLiteSession"),
    ("agents.memory", "SQLiteSession"),
    ("agents.memory.sqlite_session", "SQLiteSession"),
    ("agents.extensions.memory", "AsyncSQLiteSession"),
    ("agents.extensions.memory.async_sqlite_session", "AsyncSQLiteSession"),
)
# They build on the SDK's own class, and keep doing so: imported before it is replaced.
BUILT_ON_IT = ("agents.extensions.memory.advanced_sqlite_session", "agents.extensions.memory.encrypt_session")

FILES = (
    "tests/memory/test_session.py",
    "tests/memory/test_session_limit.py",
    "tests/memory/test_session_context_wrapper.py",
    "tests/memory/test_session_persistence_sanitize.py",
    "tests/memory/test_openai_responses_compaction_session.py",
    "tests/memory/test_compaction_model_visibility.py",
    "tests/memory/test_compaction_suffix.py",
    "tests/extensions/memory/test_async_sqlite_session.py",
    "tests/extensions/memory/test_encrypt_session.py",
    # And those of the runner, as far as they have a session.
    "tests/test_agent_runner.py",
    "tests/test_agent_runner_streamed.py",
    "tests/test_max_turns.py",
    "tests/test_native_tool_failure_history.py",
    "tests/test_programmatic_tool_calling.py",
    "tests/test_run_impl_resume_paths.py",
    "tests/test_soft_cancel.py",
    "tests/test_tool_batch_failure_history.py",
    "tests/test_tool_failure_boundaries.py",
    "tests/sandbox/test_memory.py",
)
NOT_RUN = {
    "tests/memory/test_openai_conversations_session.py": "of OpenAIConversationsSession, by a client that is mocked: "
    "that session is tested unmodified against /v1",
    "tests/memory/test_sqlalchemy_compaction.py": "of SQLAlchemy's driver",
    "tests/extensions/memory/test_sqlalchemy_session.py": "of SQLAlchemy's driver",
    "tests/extensions/memory/test_advanced_sqlite_session.py": "of AdvancedSQLiteSession's own tables and methods",
    "tests/extensions/memory/test_redis_session.py": "of Redis's driver",
    "tests/extensions/memory/test_mongodb_session.py": "of MongoDB's driver",
    "tests/extensions/memory/test_dapr_session.py": "of Dapr's driver",
    "tests/extensions/memory/test_memory_imports.py": "of what importing the SDK's optional drivers says",
}
# By reason: tests of FILES, `test` with all its parameters or `test[parameters]`.
DESELECTED = {
    "about SQLite's connections, locks, transactions and broken rows, which the tests reach into": """
        test_sqlite_session_close_closes_worker_thread_connections
        test_sqlite_session_reaps_connections_from_exited_worker_threads
        test_sqlite_session_closes_retired_connections_before_the_next_allocation
        test_sqlite_session_keeps_connections_of_live_worker_threads
        test_sqlite_session_pop_item_skips_corrupt_most_recent
        test_sqlite_session_pop_item_returns_none_after_dropping_only_corrupt_rows
        test_sqlite_session_get_items_limit_skips_corrupt_newest_rows
        test_sqlite_session_get_items_session_settings_limit_skips_corrupt_rows
        test_sqlite_session_file_lock_is_shared_across_instances
        test_sqlite_session_failed_add_items_releases_write_lock
        test_sqlite_session_failed_clear_session_rolls_back
        test_sqlite_session_failed_pop_item_releases_write_lock
        test_sqlite_session_rollback_failure_evicts_connection
        test_sqlite_session_close_retries_quarantined_connection
        test_sqlite_session_post_commit_cancellation_propagates_after_known_outcome
        test_settled_pop_failure_invalidates_response_chain
        test_settled_clear_failure_invalidates_response_chain
        test_async_sqlite_session_pop_item_skips_corrupt_most_recent
        test_async_sqlite_session_pop_item_returns_none_after_dropping_only_corrupt_rows
        test_async_sqlite_session_get_items_limit_skips_corrupt_newest_rows
        test_async_sqlite_session_get_items_same_timestamp_consistent_order
        test_async_sqlite_session_pop_item_same_timestamp_returns_latest
        test_async_sqlite_session_close_is_idempotent
        test_cancelled_close_finishes_cleanup_and_propagates_cancellation
        test_post_commit_cancellation_propagates_after_known_mutation_outcome
        test_failed_add_items_rolls_back_and_reuses_connection
        test_failed_clear_session_rolls_back
        test_failed_pop_item_releases_write_lock
        test_failed_initialization_closes_candidate_connection
        test_initialization_retries_transient_wal_lock
        test_initialization_releases_wal_cursor_before_schema_write
        test_initialization_does_not_retry_unrecoverable_wal_errors
        test_cancelled_wal_retry_closes_startup_connection
        test_cancelled_add_items_rolls_back_write_transaction
        test_operation_failure_then_cancellation_during_rollback
        test_rollback_failure_closes_and_evicts_connection
        test_close_retries_connection_quarantined_after_rollback_failure
        test_close_retries_quarantined_failed_initialization_candidate
        test_cancelled_initialization_finishes_candidate_close
        test_initialization_failure_then_cancellation_during_candidate_close
        test_cancelled_connect_closes_eventually_acquired_connection
        test_handoff_resume_after_cancelled_compaction_commits
        test_suffix_transaction_rolls_back_failed_insert
        test_cancelled_suffix_transaction_settles_before_newer_append
        test_failed_encrypted_suffix_transaction_preserves_original_tokens
        """,
    "about what the SDK does with its own SQLiteSession only: a pop that is undone in its transaction": """
        test_encrypted_pop_wrong_key_preserves_recoverable_history
        test_encrypted_pop_rechecks_authentication_after_expired_tail
        test_encrypted_pop_authentication_is_atomic_with_concurrent_mutations
        test_encrypted_pop_wrong_key_preserves_row_identity
        test_encrypted_pop_cancellation_waits_for_authentication_rollback
        """,
    "about the drivers of Redis and SQLAlchemy": """
        test_encrypted_session_scan_budget_does_not_turn_redis_negative_limit_into_history
        test_encrypted_pop_preserves_sqlalchemy_history
        """,
    "about what SQLite makes of a negative limit: all, where other sessions give nothing": """
        test_encrypted_session_scan_budget_rejects_negative_limit_before_read
        """,
}


class SQLiteSession(ChatkeepSession):
    """Takes what the SDK's SQLite sessions take: each database is a user, and one in memory a user of its own."""

    used: ClassVar[Counter[str]] = Counter()

    def __init__(
        self,
        session_id: str,
        db_path: str | Path = ":memory:",
        sessions_table: str = "agent_sessions",
        messages_table: str = "agent_messages",
        session_settings: SessionSettings | dict[str, Any] | None = None,
    ) -> None:
        location = str(uuid4()) if str(db_path) == ":memory:" else str(Path(db_path).resolve())
        digest = hashlib.sha256(f"{location} {sessions_table} {messages_table}".encode()).hexdigest()
        super().__init__(session_id, user_id=f"sdk-{digest[:32]}", session_settings=session_settings)
        self.db_path = db_path
        self.used[os.environ["PYTEST_CURRENT_TEST"].split(" ")[0]] += 1

    def close(self) -> Any:
        """Ends the session: the SDK's SQLiteSession does it at once, its AsyncSQLiteSession when it is awaited."""
        self._closed = True
        return Done()


class AsyncSQLiteSession(SQLiteSession):
    """The same: the tests look for its name in what it raises when it is closed."""


class Done:
    """Can be awaited, and need not be."""

    def __await__(self) -> Generator[Any, None, None]:
        yield from ()


class Deselecting:
    """A plugin that leaves out what is about SQLite itself, and says so."""

    def __init__(self, *, whole: bool) -> None:
        self.whole = whole
        self.left_out: Counter[str] = Counter()

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Takes the tests of DESELECTED out."""
        reasons = {test: reason for reason, tests in DESELECTED.items() for test in tests.split()}
        selected, out = [], []
        for item in items:
            reason = next((reasons[name] for name in _names(item) if name in reasons), None) or _without_session(item)
            if reason is None:
                selected.append(item)
            else:
                out.append(item)
                self.left_out[reason] += 1
        items[:] = selected
        config.hook.pytest_deselected(items=out)
        if self.whole and (missing := reasons.keys() - {name for item in out for name in _names(item)}):
            raise pytest.UsageError(f"There are no such tests any more: {', '.join(sorted(missing))}")

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Lists what was left out, and why."""
        write = terminalreporter.write_line
        write(f"{len(SQLiteSession.used)} tests used {sum(SQLiteSession.used.values())} sessions of Chatkeep")
        for reason, number in self.left_out.most_common():
            write(f"{number:4} deselected: {reason}")
        for file, reason in NOT_RUN.items():
            write(f"not run: {file}: {reason}")


def _without_session(item: pytest.Item) -> str | None:
    """Why a test is left out that says nothing of sessions."""
    about_sessions = "ession" in inspect.getsource(item.function) or "memory" in item.path.parts  # type: ignore[attr-defined]
    return None if about_sessions else "about the runner, without a session"


def _names(item: pytest.Item) -> tuple[str, str]:
    return item.name, item.name.partition("[")[0]


def main() -> int:
    """Runs the tests of a folder, and gives pytest's exit code."""
    if len(sys.argv) < 2 or not {"CHATKEEP_URL", "CHATKEEP_KEY"} <= os.environ.keys():
        sys.exit(__doc__)
    folder, arguments = str(Path(sys.argv[1]).resolve()), sys.argv[2:]
    os.chdir(folder)
    # The tests import each other as `tests.…`, which here is another package: that of this file.
    sys.path[:] = [
        folder,
        *(location for location in sys.path if Path(location or ".").resolve() != Path(__file__).parent),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module in BUILT_ON_IT:
            importlib.import_module(module)
    for module, name in REPLACED:
        setattr(importlib.import_module(module), name, globals()[name])
    whole = not any(argument.startswith("tests/") for argument in arguments)
    chosen = FILES if whole else ()
    return pytest.main(["-p", "no:cacheprovider", *chosen, *arguments], plugins=[Deselecting(whole=whole)])


if __name__ == "__main__":
    sys.exit(main())
