"""Calls of export and import."""

from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict, Unpack
from uuid import uuid4

from chatkeep.call import Call, build_query, get_call
from chatkeep.calls.chats import State, Timestamp, chat_path
from chatkeep.models.administration import ImportResult
from chatkeep.models.model import parse_model, parse_nothing
from chatkeep.uploads import FileSource, Upload

# The response to a large import comes when all of it is stored.
IMPORT_READ_TIMEOUT = 3600.0


class Filters(TypedDict, total=False):
    """Which chats to export, and how. `user_id` and `all_users` need the scope `admin`."""

    format: str | None
    state: State | None
    platform: str | None
    key_prefix: str | None
    tag: str | Sequence[str] | None
    pinned: bool | None
    created_after: Timestamp | None
    created_before: Timestamp | None
    active_after: Timestamp | None
    active_before: Timestamp | None
    metadata: Mapping[str, object] | None
    user_id: str | None
    all_users: bool | None


def export(**filters: Unpack[Filters]) -> Call[None]:
    """The caller's chats that match the filters, as a file; `format` is `jsonl` by default.

    Without a `state` it has all but the trash: archived chats too.
    """
    return _file(get_call("/export", parse_nothing, **filters))


def export_chat(chat: str, *, format: str | None = None) -> Call[None]:
    """One chat as a file; `format` is `json` by default."""
    return _file(get_call(f"{chat_path(chat)}/export", parse_nothing, format=format))


def _file(call: Call[None]) -> Call[None]:
    return call.with_headers(Accept="*/*", Accept_Encoding="gzip")


def import_(
    files: FileSource | Sequence[FileSource],
    *,
    format: str | None = None,
    dry_run: bool | None = None,
    on_conflict: Literal["skip", "replace", "copy"] | None = None,
    keep_ids: bool | None = None,
    all_users: bool | None = None,
    idempotency_key: str | None = None,
) -> Call[ImportResult]:
    """Imports chats from a file or several: paths, or their content. See `docs/import.md`."""
    body = Upload([files] if isinstance(files, FileSource) else files)
    return Call(
        method="POST",
        path="/import",
        parse=parse_model(ImportResult),
        query=build_query(
            format=format, dry_run=dry_run, on_conflict=on_conflict, keep_ids=keep_ids, all_users=all_users
        ),
        headers={**body.headers, "Idempotency-Key": idempotency_key or str(uuid4())},
        body=body,
        read_timeout=IMPORT_READ_TIMEOUT,
    )
