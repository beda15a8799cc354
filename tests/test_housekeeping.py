"""What happens by itself: expired chats go to the trash, old answers are forgotten."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
from fastapi import FastAPI
from sqlalchemy import select, update
from sqlmodel import col

from app.jobs import housekeeping
from app.models import Chat, Idempotency

Headers = Callable[[str], dict[str, str]]


async def test_expired_chats_go_to_the_trash(
    app: FastAPI, client: httpx2.AsyncClient, make_user: Callable[[], str], as_user: Headers
) -> None:
    headers = as_user(make_user())

    async def create(**details: Any) -> str:
        answer = await client.post("/chats", json=details, headers=headers)
        assert answer.status_code == 201
        chat: str = answer.json()["chat_id"]
        return chat

    soon = datetime.now(UTC) + timedelta(hours=1)
    expired = await create(key="old", expires_at="2020-01-01T00:00:00Z")
    staying = await create(expires_at=soon.isoformat())
    await housekeeping.run_pass(app.state.services.db)
    assert (await client.get(f"/chats/{expired}", headers=headers)).status_code == 404
    assert (await client.get(f"/chats/{staying}", headers=headers)).status_code == 200
    trash = (await client.get("/chats?state=deleted", headers=headers)).json()["items"]
    assert [chat["chat_id"] for chat in trash] == [expired]
    restored = await client.post("/chats/key:old/restore", headers=headers)
    assert restored.json()["expires_at"] is None
    await housekeeping.run_pass(app.state.services.db)
    assert (await client.get(f"/chats/{expired}", headers=headers)).status_code == 200


async def test_answers_kept_for_retries_are_forgotten_after_a_day(
    app: FastAPI, client: httpx2.AsyncClient, make_user: Callable[[], str], as_user: Headers
) -> None:
    user = make_user()
    for key in ("kept", "forgotten"):
        headers = {**as_user(user), "Idempotency-Key": key}
        assert (await client.post("/chats", json={}, headers=headers)).status_code == 201
    mine = col(Idempotency.user_id) == user
    async with app.state.services.db.write() as session:
        old = datetime.now(UTC) - timedelta(hours=24, seconds=1)
        await session.execute(
            update(Idempotency).where(mine, col(Idempotency.key) == "forgotten").values(created_at=old)
        )
    await housekeeping.run_pass(app.state.services.db)
    async with app.state.services.db.read() as session:
        left = (await session.execute(select(col(Idempotency.key)).where(mine))).scalars().all()
        assert left == ["kept"]
        chats = await session.execute(select(col(Chat.chat_id)).where(col(Chat.user_id) == user))
        assert len(chats.all()) == 2
