"""Search hits as JSON: a match with its chat's title and a snippet of its text."""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson

from app.db.timestamps import to_iso
from app.search.index_plan import CHAT_SEQ
from app.search.queries import IndexQueries
from app.search.query_parser import Query
from app.search.ranking import Match
from app.search.snippet import snippet

# So many characters are searched for snippets before other tasks have their turn.
_SLICE_CHARACTERS = 5000


async def serialize_hits(queries: IndexQueries, user_id: str, query: Query, matches: Sequence[Match]) -> list[bytes]:
    """The JSON of each match whose message still exists."""
    if not matches:
        return []
    hits: list[bytes] = []
    rows = await queries.hits(user_id, [(match.chat_id, match.seq) for match in matches])
    characters = 0
    for index, row in sorted(rows, key=lambda indexed: indexed[0]):
        match = matches[index]
        title, summary, chat_created_at, message_id, role, created_at, text = row
        hit: dict[str, Any] = {"chat_id": str(match.chat_id), "title": title}
        if match.seq == CHAT_SEQ:
            text = "\n".join(part for part in (title, summary) if part)
            hit = {"kind": "chat", **hit, "created_at": to_iso(chat_created_at)}
        else:
            hit = {"kind": "message", **hit, "seq": match.seq, "message_id": str(message_id), "role": role}
            hit["created_at"] = to_iso(created_at)
        hit["snippet"] = snippet(text, query)
        hits.append(orjson.dumps(hit))
        characters += len(text)
        if characters > _SLICE_CHARACTERS:
            characters = 0
            await asyncio.sleep(0)
    return hits
