"""Once a minute: chats that expired go to the trash, and answers kept for retries are forgotten after their day."""

import asyncio

import structlog
from sqlalchemy import delete, update
from sqlmodel import col

from app.db.database import Database
from app.db.types import now
from app.idempotency import cutoff
from app.models import Chat, Idempotency

_log = structlog.get_logger("chatkeep.housekeeping")
EVERY_SECONDS = 60


async def keep_house(db: Database) -> None:
    """Runs `once` every minute until it is cancelled; several processes doing so do no harm."""
    while True:
        try:
            await once(db)
        except Exception as error:  # noqa: BLE001 - whatever it was, the next minute has its own chance
            _log.warning("housekeeping failed, and will be tried again", error=type(error).__name__)
        await asyncio.sleep(EVERY_SECONDS)


async def once(db: Database) -> None:
    """Moves expired chats to the trash and forgets old answers. Raises what the driver raises."""
    at = now()
    async with db.write() as session:
        await session.execute(
            update(Chat)
            .where(col(Chat.expires_at) <= at, col(Chat.deleted_at).is_(None))
            .values(deleted_at=at, updated_at=at, version=col(Chat.version) + 1)
            .execution_options(synchronize_session=False)
        )
        await session.execute(
            delete(Idempotency)
            .where(col(Idempotency.created_at) < cutoff())
            .execution_options(synchronize_session=False)
        )
