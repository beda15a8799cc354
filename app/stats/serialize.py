"""Statistics as JSON: rows of counters as the fields of responses."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from app.db.driver import Row
from app.db.timestamps import to_iso
from app.stats.deltas import TOTALS

# Roles, models and platforms in a response: clients may have made up any number of them.
MAX_NAMES = 1000


def serialize_totals(rows: Iterable[Row]) -> dict[str, Any]:
    """The rows of USER_TOTALS or ALL_TOTALS as `app.stats.schemas.StatsOut`."""
    totals = {**_totals([0] * len(TOTALS)), **_activity(0, None, None)}
    longest_user, users = None, 0
    by: dict[str, dict[str | None, list[int]]] = {"role": {}, "model": {}, "platform": {}}
    for kind, name, *values in rows:
        counts = [int(count or 0) for count in values[: len(TOTALS)]]
        if kind is None:
            longest, first_at, last_at, longest_user, users = values[len(TOTALS) :]
            totals = {**_totals(counts), **_activity(longest, first_at, last_at)}
        else:
            # Each database writes some names differently as JSON.
            sums = by[kind].setdefault(orjson.loads(name), [0] * len(TOTALS))
            sums[:] = map(sum, zip(sums, counts, strict=True))
    chats = totals["total_conversations"]
    return {
        **totals,
        "longest_conversation_user": longest_user if totals["longest_conversation_messages"] else None,
        **{f"by_{kind}": _by_name(kind, names) for kind, names in by.items()},
        "average_messages_per_conversation": totals["total_messages"] / chats if chats else 0.0,
        "average_tokens_per_conversation": totals["total_tokens"] / chats if chats else 0.0,
        "total_users": users,
    }


def serialize_user(row: Row) -> dict[str, Any]:
    """A row of `top_users` as `app.stats.schemas.TopUser`."""
    user_id, *values = row
    return {"user_id": user_id, **_totals(values[: len(TOTALS)]), **_activity(*values[len(TOTALS) :])}


def _totals(counts: Sequence[int]) -> dict[str, Any]:
    active, deleted, messages, input_tokens, output_tokens, total_tokens = counts
    return {
        "total_conversations": active + deleted,
        "active_conversations": active,
        "deleted_conversations": deleted,
        "total_messages": messages,
        "total_tokens": total_tokens,
        "total_input_tokens": input_tokens,
        "total_output_tokens": output_tokens,
    }


def _activity(longest: int | None, first_at: Any, last_at: Any) -> dict[str, Any]:
    return {
        "longest_conversation_messages": longest or 0,
        "first_activity_at": to_iso(first_at),
        "last_activity_at": to_iso(last_at),
    }


def _by_name(kind: str, names: dict[str | None, list[int]]) -> list[dict[str, Any]]:
    """The counters of each role, model or platform, most messages first."""
    ordered = sorted(names.items(), key=lambda item: (-item[1][2], item[0] is not None, item[0] or ""))
    entries = []
    for name, counts in ordered:
        if any(counts):
            chats = {"conversations": counts[0] + counts[1]} if kind == "platform" else {}
            entries.append({kind: name, **chats, **dict(zip(TOTALS[2:], counts[2:], strict=True))})
    return entries[:MAX_NAMES]
