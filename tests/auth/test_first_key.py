"""The key that the first start makes."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest

from app.auth.bootstrap import first_key
from app.db.database import Database
from app.main import create_app
from app.settings import Settings
from tests.auth.keys import PATH, bearing


@pytest.fixture
async def fresh(fresh_database_url: str, settings: Settings) -> AsyncIterator[tuple[Database, Settings]]:
    """A database in which there is no key, and settings that name none."""
    without = Settings.model_validate({**settings.model_dump(), "database_url": fresh_database_url, "admin_key": None})
    db = await Database.open(without)
    yield db, without
    await db.close()


async def test_the_first_start_makes_one_admin_key(fresh: tuple[Database, Settings]) -> None:
    db, settings = fresh
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://chatkeep.test") as client,
    ):
        assert (await client.get(PATH)).status_code == 401
        made = [key for key in await asyncio.gather(*(first_key(db, settings) for _ in range(4))) if key]
        assert len(made) == 1
        assert await first_key(db, settings) is None
        listed = await client.get(PATH, headers=bearing(made[0]))
        assert [item["scopes"] for item in listed.json()["items"]] == [["chats:read", "chats:write", "admin"]]
        await client.delete(f"{PATH}/{listed.json()['items'][0]['key_id']}", headers=bearing(made[0]))
        assert await first_key(db, settings) is None


@pytest.mark.parametrize(
    "configured",
    [{"admin_key": "sixteen characters"}, {"jwks_url": "https://idp.test/jwks"}, {"jwt_secret": "s" * 32}],
    ids=str,
)
async def test_no_first_key_where_somebody_can_sign_in(
    fresh: tuple[Database, Settings], configured: dict[str, str]
) -> None:
    db, settings = fresh
    assert await first_key(db, Settings.model_validate({**settings.model_dump(), **configured})) is None
    assert not await db.driver.fetch_one("SELECT 1 FROM api_keys")
