"""What routes get the store of messages by."""

from starlette.requests import Request

from app.auth.caller import User
from app.messages.store import MessageStore


def message_store(request: Request, user: User) -> MessageStore:
    """The store of the messages in the user's chats."""
    state = request.app.state
    return MessageStore(state.db, user.user_id, state.writer, state.history, state.trees)
