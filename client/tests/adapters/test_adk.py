"""Google ADK's sessions: what a session service owes ADK, and two services at once. ADK's own: `adk_conformance`."""

import asyncio
from typing import Any

import pytest
from google.adk.errors import StaleSessionError
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.sessions.session import Session
from google.genai import types

from chatkeep import AsyncChatkeep, Conflict
from chatkeep.adk import ChatkeepSessionService
from tests.adapters.adk_sessions import APP, read, sessions, text_event, texts
from tests.conftest import Service


async def test_a_session_comes_back_as_it_was(service: Service, user: str) -> None:
    began = {"app:a": 1, "user:u": {"x": None}, "own": [1.5, "x"], "temp:t": 2}
    async with sessions(service, user) as session_service, sessions(service, user) as other:
        session = await session_service.create_session(**APP, session_id=" s ", state=began)
        assert session.id == "s"
        assert session.state == {"app:a": 1, "user:u": {"x": None}, "own": [1.5, "x"]}
        assert await read(other) == await read(other, "\ts ") == session
        for number in range(3):
            await session_service.append_event(session, text_event(str(number), own=number, app_a=None, temp_t=number))
        assert session.state == {"app:a": None, "user:u": {"x": None}, "own": 2, "temp:t": 2}
        loaded = await read(other)
        assert loaded.events == session.events
        assert loaded.state == {"app:a": None, "user:u": {"x": None}, "own": 2}
        assert loaded.last_update_time == session.events[-1].timestamp
        assert [session.id for session in (await other.list_sessions(**APP)).sessions] == ["s"]
        assert (await other.list_sessions(app_name="kitchen")).sessions[0].state == loaded.state
        assert (await other.list_sessions(app_name="kitchen", user_id="bob")).sessions == []
        assert (await other.list_sessions(app_name="garden")).sessions == []
        assert await other.get_user_state(**APP) == {"u": {"x": None}}
        await other.delete_session(**APP, session_id=" s")
        await other.delete_session(**APP, session_id="s")
        assert await session_service.get_session(**APP, session_id="s") is None
        with pytest.raises(SessionNotFoundError):
            await session_service.append_event(session, text_event("late"))
        assert (await session_service.create_session(**APP)).state == {"app:a": None, "user:u": {"x": None}}


async def test_ids_and_names_of_any_kind(service: Service, user: str) -> None:
    names = ["a", "a:b", "a/b", "a%2Fb", "a~2Fb", "a b", "ä", "日本", "#", "?", ".", "..", "x" * 120, "日" * 128]
    async with sessions(service, user) as service_:
        for app in names[:4]:
            for who in names:
                await service_.create_session(app_name=app, user_id=who, session_id=who, state={"app": app, "who": who})
        for app in names[:4]:
            listed = await service_.list_sessions(app_name=app)
            assert sorted(session.user_id for session in listed.sessions) == sorted(names)
            for who in names:
                loaded = await service_.get_session(app_name=app, user_id=who, session_id=who)
                assert loaded is not None
                assert (loaded.id, loaded.state) == (who, {"app": app, "who": who})
                with pytest.raises(AlreadyExistsError):
                    await service_.create_session(app_name=app, user_id=who, session_id=who)


DEEP: Any = "down"
for _ in range(80):
    DEEP = [DEEP]

ODD: list[Event] = [
    Event(author="", invocation_id=""),
    text_event("\0 and \ud800", own={"snowflake": 1_234_567_890_123_456_789, "\0": -(2**60)}),
    text_event("deep", own=DEEP),
    Event(
        author="cook",
        invocation_id="i",
        branch="cook.helper",
        content=types.Content(
            role="model",
            parts=[
                types.Part(text="Let me see.", thought=True, thought_signature=b"\xff\x00"),
                types.Part.from_bytes(data=b"\x00\xfb\xff?>", mime_type="image/png"),
                types.Part.from_uri(file_uri="gs://eggs/egg.pdf", mime_type="application/pdf"),
                types.Part(function_call=types.FunctionCall(id="c1", name="look", args={"at": None, "n": 1.0})),
                types.Part(function_response=types.FunctionResponse(id="c1", name="look", response={"seen": []})),
                types.Part(executable_code=types.ExecutableCode(code="1+1", language=types.Language.PYTHON)),
            ],
        ),
        long_running_tool_ids={"c1", "c0"},
        custom_metadata={"any": {"thing": [1, None]}},
        usage_metadata=types.GenerateContentResponseUsageMetadata(prompt_token_count=3, candidates_token_count=2),
        grounding_metadata=types.GroundingMetadata(search_entry_point=types.SearchEntryPoint(sdk_blob=b"\xff")),
        actions=EventActions(artifact_delta={"egg.png": 2}, escalate=True, transfer_to_agent="waiter"),
        output={"any": "thing"},
        avg_logprobs=-0.25,
        partial=False,
        turn_complete=True,
    ),
]


async def test_events_of_any_kind_come_back_equal(service: Service, user: str) -> None:
    async with sessions(service, user) as session_service, sessions(service, user) as other:
        session = await session_service.create_session(**APP, session_id="s")
        for event in ODD:
            await session_service.append_event(session, event.model_copy(deep=True))
        loaded = await read(other)
        assert loaded.events == ODD
        assert loaded == session
        assert (await read(other, num_recent_events=0)).state == session.state


@pytest.mark.parametrize("total", [7, 430])
async def test_the_newest_events(service: Service, user: str, total: int) -> None:
    async with (
        sessions(service, user) as session_service,
        AsyncChatkeep(service.url, service.key, user_id=user) as client,
    ):
        session = await session_service.create_session(**APP, session_id="s", state={"n": -1})
        events = [text_event(str(number), n=number) for number in range(total)]
        for number, event in enumerate(events):
            event.timestamp = 1_700_000_000.5 + number
        if total < 10:
            for event in events:
                await session_service.append_event(session, event)
        else:
            # As if each writer had died before it noted the state.
            items = [event.model_dump(mode="json", exclude_none=True) for event in events]
            await client.messages.append("key:adk:kitchen:ann:s", items, format="adk")
        for attempt in range(2):
            # The first reading brings the state up to date; the second finds it so.
            last = events[-1].timestamp
            loaded = [
                await read(session_service, num_recent_events=3, after_timestamp=last - 1),
                await read(session_service, num_recent_events=0),
                await read(session_service, num_recent_events=3),
                await read(session_service, num_recent_events=total + 5),
                await read(session_service, after_timestamp=last - 4),
                await read(session_service, after_timestamp=last + 1),
                await read(session_service, num_recent_events=2, after_timestamp=last - 4),
                await read(session_service),
            ]
            expected = [2, 0, 3, total, 5, 0, 2, total]
            assert [len(session.events) for session in loaded] == expected, attempt
            assert all(session.events == events[len(events) - len(session.events) :] for session in loaded)
            assert {session.state["n"] for session in loaded} == {total - 1}
            assert {session.last_update_time for session in loaded} == {last}


async def test_of_two_services_one_wins_and_the_other_is_told(service: Service, user: str) -> None:
    async with sessions(service, user) as session_service, sessions(service, user) as other:
        await session_service.create_session(**APP, session_id="s")
        for number in range(12):
            mine, theirs = await read(session_service), await read(other)
            ended = await asyncio.gather(
                session_service.append_event(mine, text_event(f"one {number}", **{f"k{number}": "one"})),
                other.append_event(theirs, text_event(f"other {number}", **{f"k{number}": "other"})),
                return_exceptions=True,
            )
            [error] = [outcome for outcome in ended if isinstance(outcome, BaseException)]
            assert isinstance(error, StaleSessionError)
            assert "modified in storage" in str(error)
        loaded = await read(session_service)
        assert [text.split()[1] for text in texts(loaded)] == [str(number) for number in range(12)]
        assert loaded.state == {f"k{number}": text.split()[0] for number, text in enumerate(texts(loaded))}
        # Nothing is left of those that lost, not even as branches.
        async with AsyncChatkeep(service.url, service.key, user_id=user) as client:
            chat = await client.chats.get("key:adk:kitchen:ann:s")
            assert (chat.message_count, chat.last_seq) == (12, 12)


async def test_branches_of_one_run_share_a_session(service: Service, user: str) -> None:
    async with sessions(service, user) as session_service:
        session = await session_service.create_session(**APP, session_id="s")
        await asyncio.gather(
            *(session_service.append_event(session, text_event(str(number), n=number)) for number in range(20))
        )
        loaded = await read(session_service)
        assert loaded.events == session.events
        assert loaded.state == session.state
        assert sorted(map(int, texts(loaded))) == list(range(20))


async def test_the_state_of_an_app_is_changed_by_many_at_once(service: Service, user: str) -> None:
    async with sessions(service, user) as session_service, sessions(service, user) as other:

        async def work(service_: ChatkeepSessionService, name: str) -> None:
            session = await service_.create_session(app_name="kitchen", user_id="ann", session_id=name)
            for number in range(5):
                delta = {f"app_{name}{number}": number, f"user_{name}{number}": number}
                await service_.append_event(session, text_event(name, **delta))

        await asyncio.gather(
            *(work(session_service, f"a{number}") for number in range(3)), *(work(other, f"b{n}") for n in range(3))
        )
        session = await session_service.create_session(**APP)
        assert len(session.state) == 2 * 6 * 5
        assert len(await session_service.get_user_state(**APP)) == 6 * 5


async def test_what_other_programs_write_is_part_of_the_session(service: Service, user: str) -> None:
    key = "key:adk:kitchen:ann:s"
    async with (
        sessions(service, user) as session_service,
        AsyncChatkeep(service.url, service.key, user_id=user) as client,
    ):
        session = await session_service.create_session(**APP, session_id="s", state={"own": 0})
        await session_service.append_event(session, text_event("first", own=1, gone=1))
        await client.messages.append(key, {"role": "user", "content": "by hand"})
        with pytest.raises(StaleSessionError):
            await session_service.append_event(session, text_event("late"))
        session = await read(session_service)
        assert texts(session) == ["first", "by hand"]
        assert session.state == {"own": 1, "gone": 1}
        await session_service.append_event(session, text_event("second", own=2))
        # What is taken off is unsaid, and so is its state.
        for _ in range(3):
            await client.messages.pop(key)
        assert (await session_service.list_sessions(**APP)).sessions[0].state == {"own": 0}
        assert (await read(session_service)).state == {"own": 0}
        session = await read(session_service)
        await session_service.append_event(session, text_event("again", other=1))
        # Details of the chat are nobody's business here.
        await client.chats.patch(key, title="Eggs", metadata={"mine": 1})
        await session_service.append_event(session, text_event("and again"))
        await client.chats.replace(key, title="Eggs", platform="adk", metadata={"adk_app": "kitchen"})
        assert (await session_service.list_sessions(**APP)).sessions == []
        assert (await read(session_service)).state == {"other": 1}
        assert [session.id for session in (await session_service.list_sessions(**APP)).sessions] == ["s"]


async def test_another_session_of_the_same_id_is_another_one(service: Service, user: str) -> None:
    async with sessions(service, user) as session_service:
        session = await session_service.create_session(**APP, session_id="s")
        await session_service.delete_session(**APP, session_id="s")
        await session_service.create_session(**APP, session_id="s")
        with pytest.raises(StaleSessionError):
            await session_service.append_event(session, text_event("late"))
        # One that was made by hand is known by its events.
        await session_service.append_event(Session(id="s", **APP), text_event("first"))
        with pytest.raises(StaleSessionError):
            await session_service.append_event(Session(id="s", **APP), text_event("second"))
        known = Session(id="s", **APP, events=(await read(session_service)).events)
        await session_service.append_event(known, text_event("second"))
        assert texts(await read(session_service)) == ["first", "second"]
        with pytest.raises(SessionNotFoundError):
            await session_service.append_event(Session(id="none", **APP), text_event("first"))


async def test_a_turn_that_somebody_holds_is_waited_for(service: Service, user: str) -> None:
    key = "key:adk:kitchen:ann:s"
    async with (
        sessions(service, user) as patient,
        sessions(service, user, patience=0.1) as hasty,
        AsyncChatkeep(service.url, service.key, user_id=user) as client,
    ):
        session = await patient.create_session(**APP, session_id="s")
        turn = await client.turns.take(key, holder="me", seconds=60)
        with pytest.raises(Conflict):
            await hasty.append_event(session, text_event("first"))
        waiting = asyncio.create_task(patient.append_event(session, text_event("second")))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        await client.turns.release(key, turn.token)
        await waiting
        assert texts(await read(patient)) == ["second"]
        # None is left behind.
        assert (await client.turns.get(key)).holder is None


@pytest.mark.parametrize("moment", [0.0, 0.002, 0.005, 0.01, 0.02])
async def test_an_append_that_is_cancelled_has_happened_or_not(service: Service, user: str, moment: float) -> None:
    async with sessions(service, user) as session_service:
        session = await session_service.create_session(**APP, session_id="s")
        task = asyncio.create_task(session_service.append_event(session, text_event("perhaps", own=1)))
        await asyncio.sleep(moment)
        cancelled = task.cancel()
        outcome = (await asyncio.gather(task, return_exceptions=True))[0]
        assert isinstance(outcome, asyncio.CancelledError if cancelled else Event)
        loaded = await read(session_service)
        assert loaded.events == session.events
        assert loaded.state == session.state
        await session_service.append_event(session, text_event("surely"))
        assert texts(await read(session_service))[-1] == "surely"


async def test_each_user_may_have_sessions_of_their_own(service: Service, user: str) -> None:
    ann, bob = f"{user}-ann", f"{user}-bob"
    async with sessions(service, user, per_user=True) as session_service:
        began = {"app:a": 1, "user:u": ann, "own": 1}
        session = await session_service.create_session(app_name="kitchen", user_id=ann, session_id="s", state=began)
        await session_service.append_event(session, text_event("hello", own=2))
        await session_service.create_session(app_name="kitchen", user_id=bob, session_id="s")
        loaded = await session_service.get_session(app_name="kitchen", user_id=bob, session_id="s")
        assert loaded is not None
        assert (loaded.state, loaded.events) == ({"app:a": 1}, [])
        listed = (await session_service.list_sessions(app_name="kitchen", user_id=ann)).sessions
        assert [session.state for session in listed] == [{**began, "own": 2}]
        with pytest.raises(ValueError, match="per_user"):
            await session_service.list_sessions(app_name="kitchen")
        await session_service.delete_session(app_name="kitchen", user_id=bob, session_id="s")
    async with AsyncChatkeep(service.url, service.key, user_id=ann) as client:
        chats = [chat.key async for chat in client.chats.list(order_by="created_at", order="asc")]
        assert sorted(map(str, chats)) == [f"adk-user:kitchen:{ann}", f"adk:kitchen:{ann}:s"]
        assert [message.content async for message in client.messages.list(f"key:adk:kitchen:{ann}:s")] == ["hello"]


async def test_by_itself_nothing_reaches_another_users_chats(service: Service, user: str) -> None:
    async with sessions(service, user) as session_service, sessions(service, f"{user}-other") as other:
        await session_service.create_session(app_name="kitchen", user_id=f"{user}-other", session_id="s")
        assert (await other.list_sessions(app_name="kitchen")).sessions == []
        assert await other.get_session(app_name="kitchen", user_id=f"{user}-other", session_id="s") is None


def test_a_service_of_its_own_client_works_in_many_loops(
    service: Service, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATKEEP_URL", service.url)
    monkeypatch.setenv("CHATKEEP_KEY", service.key)
    monkeypatch.setenv("CHATKEEP_USER", user)
    session_service = ChatkeepSessionService()
    session = asyncio.run(session_service.create_session(**APP, session_id="s"))
    for number in range(3):
        asyncio.run(session_service.append_event(session, text_event(str(number))))

    async def last() -> list[str]:
        async with session_service:
            return texts(await read(session_service))

    assert asyncio.run(last()) == ["0", "1", "2"]
