"""What tests of Google ADK's sessions share: our session service, events, and how they are read back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.sessions.base_session_service import GetSessionConfig
from google.adk.sessions.session import Session
from google.genai import types

from chatkeep import AsyncChatkeep
from chatkeep.adk import ChatkeepSessionService
from tests.adapters.network import AsyncNetwork
from tests.conftest import Service

APP: dict[str, Any] = {"app_name": "kitchen", "user_id": "ann"}


@asynccontextmanager
async def sessions(
    service: Service, user: str | None, way: AsyncNetwork | None = None, *, max_retries: int = 2, **options: Any
) -> AsyncIterator[ChatkeepSessionService]:
    """A session service; with `way` and no retries, what is lost on the way is lost."""
    async with AsyncChatkeep(service.url, service.key, user_id=user, transport=way, max_retries=max_retries) as client:
        yield ChatkeepSessionService(client, **options)


def text_event(text: str, **delta: Any) -> Event:
    """An event that says a text, and changes the state: `app_x` is `app:x`."""
    state = {name.replace("_", ":", 1): value for name, value in delta.items()}
    content = types.Content(role="user", parts=[types.Part(text=text)])
    return Event(author="user", invocation_id="i", content=content, actions=EventActions(state_delta=state))


async def read(service: ChatkeepSessionService, session_id: str = "s", **config: Any) -> Session:
    """A session that is there."""
    config = {"config": GetSessionConfig(**config)} if config else {}
    loaded = await service.get_session(**APP, session_id=session_id, **config)
    assert loaded is not None
    return loaded


def texts(session: Session) -> list[str]:
    """What is said in a session."""
    return [event.content.parts[0].text for event in session.events if event.content]  # type: ignore[misc,index]
