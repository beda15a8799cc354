"""Call of the search."""

from collections.abc import Sequence
from typing import Literal

from chatkeep.call import Call, get_call
from chatkeep.calls.chats import Timestamp
from chatkeep.models.changes import Hit
from chatkeep.models.messages import Role
from chatkeep.models.model import Page, parse_page


def page(
    q: str,
    *,
    chat: str | None = None,
    role: Role | None = None,
    platform: str | None = None,
    tag: str | Sequence[str] | None = None,
    after: Timestamp | None = None,
    before: Timestamp | None = None,
    include_deleted: bool | None = None,
    order: Literal["best", "newest"] | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call[Page[Hit]]:
    """The messages and titles that a query finds, the best first by default. See `docs/search.md` for the query."""
    return get_call(
        "/search",
        parse_page(Hit),
        q=q,
        chat=chat,
        role=role,
        platform=platform,
        tag=tag,
        after=after,
        before=before,
        include_deleted=include_deleted,
        order=order,
        limit=limit,
        cursor=cursor,
    )
