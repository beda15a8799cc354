"""How routes get the store of chats."""

from starlette.requests import Request

from app.auth.caller import User
from app.chats.store import ChatStore
from app.db.database import Database
from app.http.services import service


def chat_store(request: Request, user: User) -> ChatStore:
    """The store of the user's chats."""
    db = service(request, Database)
    return ChatStore(db, user.user_id)
