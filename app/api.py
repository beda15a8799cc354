"""The list of routers, in the order in which they are tried."""

from fastapi import APIRouter

from app.auth import routes as api_keys
from app.changes import routes as changes
from app.chats import lease_routes as leases
from app.chats import routes as chats
from app.context import routes as context
from app.conversations import routes as conversations
from app.exporting import routes as exporting
from app.http import health
from app.importing import routes as importing
from app.messages import feedback, revisions
from app.messages import routes as messages
from app.messages.branching import routes as branches
from app.openai_api import item_routes as openai_items
from app.openai_api import routes as openai_conversations
from app.search import routes as search
from app.stats import routes as stats
from app.streaming import routes as streaming

ROUTERS: tuple[APIRouter, ...] = (
    # Hot ones first: they are served ahead of FastAPI, see app.http.routing.
    streaming.hot_router,
    messages.hot_router,
    openai_items.hot_router,
    changes.hot_router,
    messages.router,
    streaming.router,
    conversations.router,
    branches.router,
    leases.router,
    revisions.router,
    feedback.router,
    context.router,
    openai_items.router,
    openai_conversations.router,
    chats.router,
    changes.router,
    search.router,
    stats.router,
    exporting.router,
    importing.router,
    api_keys.router,
    health.router,
)
