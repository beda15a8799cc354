"""The list of routers, in the order in which they are tried: those that are asked most come first."""

from fastapi import APIRouter

from app.auth import routes as api_keys
from app.changes import routes as changes
from app.chats import lease_routes
from app.chats import routes as chats
from app.context import routes as context
from app.conversations import routes
from app.exporting import routes as exports
from app.http import health
from app.importing import routes as incoming
from app.messages import feedback, revisions
from app.messages import routes as messages
from app.messages.branching import routes as branches
from app.openai_api import item_routes as items
from app.openai_api import routes as conversations
from app.search import routes as search
from app.stats import routes as stats
from app.streaming import routes as answers

ROUTERS: tuple[APIRouter, ...] = (
    answers.router,
    messages.router,
    routes.router,
    branches.router,
    lease_routes.router,
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
