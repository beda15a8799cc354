"""The list of routers, in the order in which they are tried: those that are asked most come first."""

from fastapi import APIRouter

from app import health
from app.auth import routes as api_keys
from app.chats import routes as chats
from app.messages import conversation
from app.messages import routes as messages

ROUTERS: tuple[APIRouter, ...] = (
    messages.router,
    conversation.router,
    chats.router,
    api_keys.router,
    health.router,
)
