"""The calls that carry chats out and in."""

from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict, Unpack
from uuid import uuid4

from chatkeep.calls.chats import Moment, State, place
from chatkeep.models.administration import Imported
from chatkeep.models.model import nothing, one
from chatkeep.request import Call, get, query
from chatkeep.uploads import Source, Upload

# A large import is answered when all of it is stored.
IMPORT_PATIENCE = 3600.0


class Filters(TypedDict, total=False):
    """Which chats to export, and how. `user_id` and `all_users` need the scope `admin`."""

    format: str | None
    state: State | None
    platform: str | None
    tag: str | Sequence[str] | None
    pinned: bool | None
    created_after: Moment | None
    created_before: Moment | None
    active_after: Moment | None
    active_before: Moment | None
    metadata: Mapping[str, object] | None
    user_id: str | None
    all_users: bool | None


def export(**filters: Unpack[Filters]) -> Call[None]:
    """The caller's chats that the filters leave, as a file; `jsonl` unless said."""
    return _file(get("/export", nothing, **filters))


def export_chat(chat: str, *, format: str | None = None) -> Call[None]:
    """One chat as a file; `json` unless said."""
    return _file(get(f"{place(chat)}/export", nothing, format=format))


def _file(call: Call[None]) -> Call[None]:
    return call.saying(Accept="*/*", Accept_Encoding="gzip")


def import_(
    files: Source | Sequence[Source],
    *,
    format: str | None = None,
    dry_run: bool | None = None,
    on_conflict: Literal["skip", "replace", "copy"] | None = None,
    keep_ids: bool | None = None,
    all_users: bool | None = None,
    idempotency_key: str | None = None,
) -> Call[Imported]:
    """Takes in chats from a file, or from several: paths, or what is in them. See `docs/import.md`."""
    body = Upload([files] if isinstance(files, Source) else files)
    return Call(
        method="POST",
        path="/import",
        read=one(Imported),
        query=query(format=format, dry_run=dry_run, on_conflict=on_conflict, keep_ids=keep_ids, all_users=all_users),
        headers={**body.headers, "Idempotency-Key": idempotency_key or str(uuid4())},
        body=body,
        patience=IMPORT_PATIENCE,
    )
