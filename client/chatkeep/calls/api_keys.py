"""Calls of API keys, which need the scope `admin`."""

from collections.abc import Sequence
from typing import Literal

from chatkeep.call import Call, build_path, get_call, post_call, without_none
from chatkeep.calls.chats import Timestamp
from chatkeep.models.administration import ApiKey, ApiKeyMade
from chatkeep.models.model import Page, parse_model, parse_nothing, parse_page

Scope = Literal["chats:read", "chats:write", "admin"]
_PATH = "/admin/api-keys"


def create(
    name: str,
    scopes: Sequence[Scope],
    *,
    user_id: str | None = None,
    expires_at: Timestamp | None = None,
    idempotency_key: str | None = None,
) -> Call[ApiKeyMade]:
    """Creates an API key. Only this response has its secret. Without `user_id` it is a service key."""
    body = without_none(name=name, scopes=scopes, user_id=user_id, expires_at=expires_at)
    return post_call(_PATH, parse_model(ApiKeyMade), body, idempotency_key=idempotency_key, for_user=False)


def page(*, limit: int | None = None, cursor: str | None = None) -> Call[Page[ApiKey]]:
    """Every API key, the newest first, revoked ones too."""
    return get_call(_PATH, parse_page(ApiKey), for_user=False, limit=limit, cursor=cursor)


def get(key_id: str) -> Call[ApiKey]:
    """One API key."""
    return get_call(_PATH + build_path(key_id), parse_model(ApiKey), for_user=False)


def revoke(key_id: str) -> Call[None]:
    """Revokes an API key for good."""
    return Call(method="DELETE", path=_PATH + build_path(key_id), parse=parse_nothing, for_user=False)
