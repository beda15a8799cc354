"""The hot routes: which they are, that nothing else is for their paths, and what cannot be one."""

from itertools import chain
from typing import Annotated

import pytest
from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.http.routing import HotRoute
from app.main import create_app
from app.settings import Settings

SERVICE = create_app(Settings())
HOT = {
    "POST /chats/{chat}/messages",
    "GET /chats/{chat}/messages",
    "GET /chats/{chat}/messages/{message}",
    "POST /chats/{chat}/messages/{message}/chunks",
    "POST /v1/conversations/{conversation}/items",
    "GET /v1/conversations/{conversation}/items",
    "GET /v1/conversations/{conversation}/items/{item}",
    "GET /changes",
}


def named(route: Route) -> set[str]:
    return {f"{method} {route.path}" for method in route.methods or ()}


def test_hot_routes_are_these() -> None:
    assert set(chain.from_iterable(named(route) for route in SERVICE.routes if isinstance(route, HotRoute))) == HOT


def test_no_other_route_is_for_a_path_of_a_hot_one() -> None:
    routes = [route for route in SERVICE.routes if isinstance(route, Route)]
    for hot in (route for route in routes if isinstance(route, HotRoute)):
        for other in routes:
            if other is not hot and (hot.methods or set()) & (other.methods or set()):
                assert not hot.path_regex.match(other.path_format), (hot.path, other.path)
                assert not other.path_regex.match(hot.path_format), (hot.path, other.path)


def test_what_a_hot_route_does_not_give_is_refused_where_it_is_defined() -> None:
    router = APIRouter(route_class=HotRoute)

    async def of_query(request: Request, limit: int = 1) -> Response:
        return Response()

    def not_async(request: Request) -> Response:
        return Response()

    async def session(request: Request) -> object:
        yield request

    async def of_dependency_with_an_end(request: Request, session: Annotated[object, Depends(session)]) -> Response:
        return Response()

    for endpoint in (of_query, not_async, of_dependency_with_an_end):
        with pytest.raises(TypeError, match="hot route"):
            router.get("/")(endpoint)
