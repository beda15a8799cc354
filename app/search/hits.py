"""What is shown of a match: its chat's title and, from the text, the place that matches."""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson

from app.db.timestamps import to_iso
from app.search.index_plan import CHAT_ITSELF
from app.search.queries import Reads
from app.search.query import Query
from app.search.ranking import Match
from app.search.snippet import snippet

# Characters that snippets are made of before others have their turn.
_SLICE_CHARACTERS = 5000


async def hits(tables: Reads, user_id: str, query: Query, matches: Sequence[Match]) -> list[bytes]:
    """The matches as JSON, but for what is gone by now."""
    if not matches:
        return []
    found: list[bytes] = []
    rows = await tables.hits(user_id, [(match.chat_id, match.seq) for match in matches])
    characters = 0
    for place, row in sorted(rows, key=lambda one: one[0]):
        match = matches[place]
        title, summary, chat_at, message_id, role, at, text = row
        hit: dict[str, Any] = {"chat_id": str(match.chat_id), "title": title}
        if match.seq == CHAT_ITSELF:
            text = "\n".join(part for part in (title, summary) if part)
            hit = {"kind": "chat", **hit, "created_at": to_iso(chat_at)}
        else:
            hit = {"kind": "message", **hit, "seq": match.seq, "message_id": str(message_id), "role": role}
            hit["created_at"] = to_iso(at)
        hit["snippet"] = snippet(text, query)
        found.append(orjson.dumps(hit))
        characters += len(text)
        if characters > _SLICE_CHARACTERS:
            characters = 0
            await asyncio.sleep(0)
    return found
