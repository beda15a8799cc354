"""The calls of API keys. They need the scope `admin`."""

from collections.abc import Sequence
from typing import Literal

from chatkeep.calls.chats import Moment
from chatkeep.models.administration import ApiKey, ApiKeyMade
from chatkeep.models.model import Page, nothing, one
from chatkeep.models.model import page as read_page
from chatkeep.request import Call, given, path, post
from chatkeep.request import get as reading

Scope = Literal["chats:read", "chats:write", "admin"]
_PLACE = "/admin/api-keys"


def create(
    name: str,
    scopes: Sequence[Scope],
    *,
    user_id: str | None = None,
    expires_at: Moment | None = None,
    idempotency_key: str | None = None,
) -> Call[ApiKeyMade]:
    """Makes an API key, whose secret is in this answer and nowhere else; without `user_id` it is a service key."""
    body = given(name=name, scopes=scopes, user_id=user_id, expires_at=expires_at)
    return post(_PLACE, one(ApiKeyMade), body, idempotency_key=idempotency_key, for_user=False)


def page(*, limit: int | None = None, cursor: str | None = None) -> Call[Page[ApiKey]]:
    """Every API key, the newest first, revoked ones too."""
    return reading(_PLACE, read_page(ApiKey), for_user=False, limit=limit, cursor=cursor)


def get(key_id: str) -> Call[ApiKey]:
    """One API key."""
    return reading(_PLACE + path(key_id), one(ApiKey), for_user=False)


def revoke(key_id: str) -> Call[None]:
    """Ends an API key for good."""
    return Call(method="DELETE", path=_PLACE + path(key_id), read=nothing, for_user=False)
