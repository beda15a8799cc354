"""Makes the first admin key at the first start, without which nobody could make another."""

import orjson
from sqlalchemy.exc import IntegrityError

from app.auth.caller import SCOPES
from app.auth.schemas import ApiKeyIn
from app.auth.store import ApiKeyStore
from app.db.database import Database
from app.settings import Settings

# Always the same, so that of several processes that start at once one makes it, and the others make nothing.
FIRST_KEY_ID = "00000000-0000-7000-8000-000000000001"


async def first_key(db: Database, settings: Settings) -> str | None:
    """Makes a service key with every scope where nobody could sign in otherwise; returns it, to be shown this once.

    None where the settings name an admin key or an identity provider, or where a key was ever made.
    """
    store = ApiKeyStore(db)
    if settings.admin_key or settings.signs_in_by_jwt or await store.has_any():
        return None
    try:
        answer = await store.create(ApiKeyIn(name="first admin key", scopes=list(SCOPES)), key_id=FIRST_KEY_ID)
    except IntegrityError:
        return None
    key: str = orjson.loads(answer.body)["key"]
    return key
