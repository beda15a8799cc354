"""The list of routers. The order is that of the documentation, and of matching where two paths look alike."""

from fastapi import APIRouter

from app import health
from app.auth import routes as api_keys
from app.chats import routes as chats
from app.messages import conversation
from app.messages import routes as messages

ROUTERS: tuple[APIRouter, ...] = (
    chats.router,
    conversation.router,
    messages.router,
    api_keys.router,
    health.router,
)
