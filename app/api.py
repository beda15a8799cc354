"""The list of routers, in the order in which they are tried: those that are asked most come first."""

from fastapi import APIRouter

from app import health
from app.auth import routes as api_keys
from app.chats import routes as chats
from app.context import routes as context
from app.live import routes as changes
from app.live.answers import routes as answers
from app.messages import branch_routes as branches
from app.messages import conversation, feedback, revisions, turns
from app.messages import routes as messages

ROUTERS: tuple[APIRouter, ...] = (
    answers.router,
    messages.router,
    conversation.router,
    branches.router,
    turns.router,
    revisions.router,
    feedback.router,
    context.router,
    chats.router,
    changes.router,
    api_keys.router,
    health.router,
)
