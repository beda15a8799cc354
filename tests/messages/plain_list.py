"""A history as a plain list gives it."""

from tests.callers import Json


def expected(messages: list[Json], query: Json) -> tuple[list[Json], int]:
    """What a query asks for in all, and how much of it a page has."""
    found = [
        m
        for m in messages
        if query.get("role", m["role"]) == m["role"]
        and query.get("after_seq", -1) < m["seq"] < query.get("before_seq", 2**40)
    ]
    limit = query.get("limit", 50)
    if "last" in query:
        return found[-query["last"] :], query["last"]
    if "max_turns" in query:
        turns = [m["seq"] for m in found if m["role"] == "user"][-query["max_turns"] :]
        begin = turns[0] if len(turns) == query["max_turns"] else 0
        return [m for m in found if m["seq"] >= begin], query.get("limit", 200)
    if "around_seq" in query:
        before = [m for m in found if m["seq"] < query["around_seq"]]
        after = [m for m in found if m["seq"] >= query["around_seq"]]
        return before[len(before) - min(len(before), limit // 2) :] + after[: limit - limit // 2], limit
    return found[::-1] if query.get("order") == "desc" else found, limit
