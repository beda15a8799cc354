"""How routes get the store of messages."""

from starlette.requests import Request

from app.auth.caller import User
from app.http.services import service
from app.messages.store import MessageStore, MessageStores


def message_store(request: Request, user: User) -> MessageStore:
    """The store of the messages in the user's chats."""
    return service(request, MessageStores)(user.user_id)
