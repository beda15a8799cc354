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
from app.openai_api import item_routes as items
from app.openai_api import routes as conversations
from app.search import routes as search
from app.stats import routes as stats
from app.transfer import export_routes as exports
from app.transfer.incoming import routes as incoming

ROUTERS: tuple[APIRouter, ...] = (
    answers.router,
    messages.router,
    conversation.router,
    branches.router,
    turns.router,
    revisions.router,
    feedback.router,
    context.router,
    items.router,
    conversations.router,
    chats.router,
    changes.router,
    search.router,
    stats.router,
    exports.router,
    incoming.router,
    api_keys.router,
    health.router,
)
