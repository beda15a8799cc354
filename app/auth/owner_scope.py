"""The owner scope of a request: the caller's own data, or with the scope `admin` another user's, or everybody's."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

from app.auth.caller import ADMIN, CHATS_READ, MAX_USER_ID, Caller, is_user_id
from app.http.errors import BadRequest, Forbidden


def _checked_user(value: str) -> str:
    if not is_user_id(value):
        raise ValueError(f"a user id has 1 to {MAX_USER_ID} characters and no control characters")
    return value


UserId = Annotated[str, Field(min_length=1, max_length=MAX_USER_ID), AfterValidator(_checked_user)]


class OwnerQuery(BaseModel):
    """Whose: the caller's own, unless an administrator says otherwise."""

    user_id: UserId | None = Field(default=None, description="Another user's. Needs the scope `admin`.")
    all_users: bool = Field(default=False, description="Over all users. Needs the scope `admin`.")


def owner_of(caller: Caller, query: OwnerQuery) -> str | None:
    """The user that is asked about, or None for all. Raises BadRequest (400) and Forbidden (403)."""
    if query.all_users and query.user_id is not None:
        raise BadRequest("Ask with user_id or with all_users, not with both.")
    if query.all_users or query.user_id not in (None, caller.user_id):
        if ADMIN not in caller.scopes:
            raise Forbidden("What others have, and what all users have, needs the scope admin.")
        return query.user_id
    if caller.user_id is None:
        raise BadRequest("Say whose: name a user in X-User-Id or user_id, or ask with all_users=true.")
    if CHATS_READ not in caller.scopes:
        raise Forbidden(f"This needs the scope {CHATS_READ}.")
    return caller.user_id
