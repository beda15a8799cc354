"""Google ADK's sessions when a service dies, its answers are lost, or another one is amid something."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from chatkeep import AsyncChatkeep, ChatkeepError, adk_session
from chatkeep.adk import ChatkeepSessionService
from chatkeep.adk_session import ScopedState, SessionKey
from tests.adapters.adk_sessions import APP, read, sessions, text_event, texts
from tests.adapters.network import AsyncNetwork, Lost
from tests.conftest import Service


async def test_an_event_that_is_delivered_again(service: Service, user: str) -> None:
    way = AsyncNetwork()
    async with sessions(service, user, way, max_retries=0) as session_service:
        session = await session_service.create_session(**APP, session_id="s")
        event = text_event("once", own=1)
        way.lose("POST /chats/[^:]+/messages", "answer")
        with pytest.raises(ChatkeepError):
            await session_service.append_event(session, event)
        assert session.events == []
        # Stored, but its answer was lost: it is not stored again, and the session goes on.
        assert await session_service.append_event(session, event) == event
        await session_service.append_event(session, event)
        await session_service.append_event(session, event.model_copy(deep=True))
        await session_service.append_event(session, text_event("twice"))
        loaded = await read(session_service)
        assert texts(loaded) == ["once", "twice"]
        assert loaded.state == {"own": 1}


@pytest.mark.parametrize("lost", ["request", "answer"])
async def test_a_crash_after_an_event_loses_none_of_its_state(service: Service, user: str, lost: Lost) -> None:
    way = AsyncNetwork()
    async with sessions(service, user, way, max_retries=0) as session_service, sessions(service, user) as other:
        await session_service.create_session(**APP, session_id="other")
        session = await session_service.create_session(**APP, session_id="s", state={"own": 0})
        await session_service.append_event(session, text_event("before", own=1, app_a=1, user_u=1))
        # Whatever is written after the event is lost, as is the turn's end.
        way.lose("(PATCH|PUT|DELETE) .*", lost, 99)
        await session_service.append_event(
            session, text_event("amid", own=2, fresh=None, app_a=2, user_u=2, user_v={"x": 1})
        )
        expected = {"own": 2, "fresh": None, "app:a": 2, "user:u": 2, "user:v": {"x": 1}}
        assert (await other.list_sessions(**APP)).sessions[-1].state == expected
        loaded = await read(other)
        assert loaded.state == expected
        assert await other.get_user_state(**APP) == {"u": 2, "v": {"x": 1}}
        assert (await read(other, "other")).state["app:a"] == 2
        # Who died held the turn: the next one waits until it is over.
        await other.append_event(loaded, text_event("after", own=3))
        assert texts(await read(other)) == ["before", "amid", "after"]
        assert (await read(other, num_recent_events=0)).state == {**expected, "own": 3}


async def test_reading_amid_an_append_hands_nothing_on_twice(service: Service, user: str) -> None:
    key = "key:adk:kitchen:ann:s"
    async with (
        sessions(service, user) as session_service,
        AsyncChatkeep(service.url, service.key, user_id=user) as client,
    ):
        session = await session_service.create_session(**APP, session_id="s")
        # As far as a service has come that has stored an event, and handed on what it says, and not noted that.
        turn = await client.turns.take(key, holder="adk", seconds=60)
        event = text_event("amid", app_x=1, own=1)
        item = event.model_dump(mode="json", exclude_none=True)
        message = await client.messages.append(key, item, format="adk", turn=turn.token)
        await session_service._update_shared_state(SessionKey("kitchen", "ann", "s"), ScopedState({"x": 1}, {}, {}))
        reading = asyncio.create_task(read(session_service))
        await asyncio.sleep(0.1)
        other = await session_service.create_session(**APP, session_id="other")
        await session_service.append_event(other, text_event("meanwhile", app_x=2))
        assert not reading.done()
        checkpoint = adk_session.checkpoint({"own": 1}, message.message_id, message.seq, event.timestamp)
        await client.chats.patch(key, metadata={"adk": checkpoint}, turn=turn.token)
        loaded = await reading
        assert loaded.state == {"own": 1, "app:x": 2}
        assert loaded.events == [event]
        await client.turns.release(key, turn.token)
        assert session.id == loaded.id


async def test_a_program_that_holds_the_turn_does_not_hold_up_reading(service: Service, user: str) -> None:
    key = "key:adk:kitchen:ann:s"
    async with (
        sessions(service, user) as session_service,
        AsyncChatkeep(service.url, service.key, user_id=user) as client,
    ):
        await session_service.create_session(**APP, session_id="s", state={"own": 0})
        turn = await client.turns.take(key, holder="me", seconds=600)
        item = text_event("mine", app_x=1, user_y=2, own=1).model_dump(mode="json", exclude_none=True)
        await client.messages.append(key, item, format="adk", turn=turn.token)
        for _ in range(2):
            assert (await read(session_service)).state == {"own": 1, "app:x": 1, "user:y": 2}
        assert await session_service.get_user_state(**APP) == {}
        await client.turns.release(key, turn.token)
        assert (await read(session_service)).state == {"own": 1, "app:x": 1, "user:y": 2}
        assert await session_service.get_user_state(**APP) == {"y": 2}


@pytest.mark.parametrize("lost", ["request", "answer"])
async def test_whenever_a_service_dies_an_event_is_there_with_its_state_or_not_at_all(
    service: Service, user: str, lost: Lost, monkeypatch: pytest.MonkeyPatch
) -> None:
    # For how long the dead hold up the others.
    monkeypatch.setattr("chatkeep.adk.TURN_SECONDS", 1)

    async def died_after(requests: int) -> bool:
        """Whether an event is there, of which this many requests were sent, and then one was lost, and all others."""
        way = AsyncNetwork()
        names: dict[str, Any] = {"app_name": f"kitchen{requests}", "user_id": "ann"}
        async with sessions(service, user, way, max_retries=0) as session_service, sessions(service, user) as other:
            began = {"own": 0, "app:a": 0, "user:u": 0}
            session = await session_service.create_session(**names, session_id="s", state=began)
            way.die(requests, lost)
            with suppress(ChatkeepError):
                await session_service.append_event(session, text_event("amid", own=1, app_a=1, user_u=1))
            session = await other.create_session(**names, session_id="other")
            loaded = await other.get_session(**names, session_id="s")
            assert loaded is not None
            stored = bool(loaded.events)
            assert loaded.state == {name: int(stored) for name in began}
            assert await other.get_user_state(**names) == {"u": int(stored)}
            listed = (await other.list_sessions(**names)).sessions
            assert {session.id: session.state for session in listed}["s"] == loaded.state
            await other.append_event(loaded, text_event("after", own=2, app_a=2))
            assert (await other.get_session(**names, session_id="s")) == loaded
            await other.append_event(session, text_event("elsewhere"))
            loaded = await other.get_session(**names, session_id="other")
            assert loaded is not None
            assert loaded.state == {"app:a": 2, "user:u": int(stored)}
            return stored

    stored = await asyncio.gather(*map(died_after, range(8)))
    # The turn is taken, the chat is read, and then the event is stored.
    assert stored == [False, False, lost == "answer", True, True, True, True, True]


async def test_who_may_only_read_reads_what_a_crash_left(service: Service, user: str) -> None:
    async with (
        sessions(service, user) as session_service,
        AsyncChatkeep(service.url, service.key, user_id=user) as client,
    ):
        await session_service.create_session(**APP, session_id="s")
        item = text_event("mine", app_x=1, own=1).model_dump(mode="json", exclude_none=True)
        await client.messages.append("key:adk:kitchen:ann:s", item, format="adk")
        key = await client.api_keys.create(name="reader", user_id=user, scopes=["chats:read"])
        async with AsyncChatkeep(service.url, key.key) as reader:
            loaded = await read(ChatkeepSessionService(reader))
            assert (texts(loaded), loaded.state) == (["mine"], {"own": 1, "app:x": 1})
            assert (await ChatkeepSessionService(reader).list_sessions(**APP)).sessions[0].state == loaded.state


async def test_a_crash_while_a_session_begins_loses_none_of_its_state(service: Service, user: str) -> None:
    way = AsyncNetwork()
    way.lose("PATCH .*", "request")
    async with sessions(service, user, way, max_retries=0) as session_service, sessions(service, user) as other:
        with pytest.raises(ChatkeepError):
            await session_service.create_session(
                **APP, session_id="s", state={"own": 1, "app:a": {"b": None}, "user:u": 2}
            )
        assert (await read(other)).state == {"own": 1, "app:a": {"b": None}, "user:u": 2}
        assert (await other.create_session(**APP)).state == {"app:a": {"b": None}, "user:u": 2}
