"""Reading the totals: one statement, so that all of an answer is of one moment."""

from collections.abc import Iterable
from typing import Any

import orjson

from app.db.driver import Reader, Row
from app.db.timestamps import to_iso
from app.stats.deltas import TOTALS

# Of roles, models and platforms each, in an answer: clients may have made up any number of them.
MOST_NAMES = 1000
# By what `top` can order.
RANKED = {"messages": "messages", "tokens": "total_tokens", "chats": "active_chats + deleted_chats"}

_NAMES = ", ".join(TOTALS)
_NOTHING = "CAST(NULL AS integer), CAST(NULL AS timestamptz), CAST(NULL AS timestamptz), CAST(NULL AS text), 0"
# It may become unknown again after it was found anew, where somebody goes on writing.
_LONGEST = "coalesce(longest, (SELECT max(c.message_count) FROM chats c WHERE c.user_id = usage.user_id), 0)"
_OF_A_USER = f"""
SELECT CAST(NULL AS text) AS kind, CAST(NULL AS text) AS name, {_NAMES}, {_LONGEST}, first_at, last_at, user_id, 1
FROM usage WHERE user_id = $1
UNION ALL SELECT kind, name, {_NAMES}, {_NOTHING} FROM usage_by WHERE user_id = $1
"""
_SUMS = ", ".join(f"sum({name})" for name in TOTALS)
_OF_ALL = f"""
SELECT CAST(NULL AS text) AS kind, CAST(NULL AS text) AS name, {_SUMS}, max({_LONGEST}), min(first_at), max(last_at), (
    SELECT user_id FROM usage ORDER BY {_LONGEST} DESC, user_id LIMIT 1
), count(CASE WHEN active_chats + deleted_chats > 0 THEN 1 END)
FROM usage
UNION ALL SELECT kind, name, {_SUMS}, {_NOTHING} FROM usage_by GROUP BY kind, name
"""
_TOP = (
    "SELECT user_id, {names}, {longest}, first_at, last_at FROM usage "
    "WHERE {ranked} > 0 ORDER BY {ranked} DESC, user_id LIMIT {limit}"
)


async def totals(reader: Reader, user_id: str | None) -> dict[str, Any]:
    """The totals of a user, or with None of all, as `app.stats.schemas.StatsOut` says them."""
    rows = await reader.fetch(_OF_ALL) if user_id is None else await reader.fetch(_OF_A_USER, user_id)
    whole: dict[str, Any] = {**_whole([0] * len(TOTALS)), **_activity(0, None, None)}
    longest_of, users = None, 0
    by: dict[str, dict[str | None, list[int]]] = {"role": {}, "model": {}, "platform": {}}
    for kind, name, *rest in rows:
        numbers = [int(number or 0) for number in rest[: len(TOTALS)]]
        if kind is not None:
            # Each database writes some names differently as JSON.
            sums = by[kind].setdefault(orjson.loads(name), [0] * len(TOTALS))
            sums[:] = map(sum, zip(sums, numbers, strict=True))
            continue
        longest, first_at, last_at, longest_of, users = rest[len(TOTALS) :]
        whole = {**_whole(numbers), **_activity(longest, first_at, last_at)}
    answer = {**whole, "longest_conversation_user": longest_of if whole["longest_conversation_messages"] else None}
    for kind, names in by.items():
        answer[f"by_{kind}"] = _ranked(kind, names)
    conversations = answer["total_conversations"]
    answer["average_messages_per_conversation"] = answer["total_messages"] / conversations if conversations else 0.0
    answer["average_tokens_per_conversation"] = answer["total_tokens"] / conversations if conversations else 0.0
    return answer if user_id is not None else {**answer, "total_users": users}


async def top(reader: Reader, by: str, limit: int) -> list[dict[str, Any]]:
    """The users who have most of something, as `app.stats.schemas.TopUser` says them."""
    statement = _TOP.format(names=_NAMES, longest=_LONGEST, ranked=RANKED[by], limit=limit)
    return [_user(row) for row in await reader.fetch(statement)]


def _user(row: Row) -> dict[str, Any]:
    user_id, *rest = row
    return {"user_id": user_id, **_whole(rest[: len(TOTALS)]), **_activity(*rest[len(TOTALS) :])}


def _whole(numbers: Iterable[int]) -> dict[str, Any]:
    active, deleted, messages, input_tokens, output_tokens, total_tokens = numbers
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


def _ranked(kind: str, names: dict[str | None, list[int]]) -> list[dict[str, Any]]:
    """What there is of each, the most messages first."""
    ordered = sorted(names.items(), key=lambda item: (-item[1][2], item[0] is not None, item[0] or ""))
    found = []
    for name, (active, deleted, *counted) in ordered:
        conversations = {"conversations": active + deleted} if kind == "platform" else {}
        entry = {kind: name, **conversations, **dict(zip(TOTALS[2:], counted, strict=True))}
        if any((active, deleted, *counted)):
            found.append(entry)
    return found[:MOST_NAMES]
