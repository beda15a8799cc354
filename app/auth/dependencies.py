"""The dependencies that give a route its caller: `user: Reader`, `user: Writer` or `caller: Admin`."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from app.auth.authenticator import Authenticator
from app.auth.caller import ADMIN, CHATS_READ, CHATS_WRITE, MAX_USER_ID, Caller, User
from app.events.stream_authorizer import AuthorizationCheck
from app.http.errors import BadRequest, Forbidden, Overloaded, Unauthorized
from app.http.routing import HotRoute, StrictRoute
from app.http.services import service

# What any route that knows its caller can answer, for `errors.responses`.
CALLER_PROBLEMS = (BadRequest, Unauthorized, Forbidden, Overloaded)

_X_USER_ID = {
    "name": "X-User-Id",
    "in": "header",
    "required": False,
    "description": "The user that a service key acts for, in percent-encoded UTF-8; refused from others.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_USER_ID},
}


class CallerWith(SecurityBase):
    """The caller of a request, if it has a scope. It is one dependency: chained ones would cost more."""

    def __init__(self, scope: str) -> None:
        self.scope = scope
        self.scheme_name = "bearer"
        self.model = HTTPBearer(
            description="An API key (`ck_…`), or a token of the identity provider (JWT). "
            "A service key names the user it acts for in `X-User-Id`."
        )

    async def __call__(self, request: Request) -> Caller:
        """The caller. Raises Forbidden (403) without the scope, and what `authenticate` raises."""
        caller: Caller = request.scope.get("state", {}).get("caller") or await _authenticate(request)
        if self.scope not in caller.scopes:
            raise Forbidden(f"This needs the scope {self.scope}.")
        return caller


class UserWith(CallerWith):
    """The same for what belongs to a user."""

    async def __call__(self, request: Request) -> User:
        """The caller, with the user it acts for. Raises BadRequest (400) where a service key names none."""
        caller = await super().__call__(request)
        if not isinstance(caller, User):
            raise BadRequest("A service key acts for a user: name one in the header X-User-Id.")
        return caller


class OwnerOrAdmin(CallerWith):
    """For what a user sees of his own, and who has the scope `admin` of anybody: the route tells which of them it is.

    `scope` is what the user needs.
    """

    async def __call__(self, request: Request) -> Caller:
        """The caller. Raises Forbidden (403) with neither scope, and what `authenticate` raises."""
        caller: Caller = request.scope.get("state", {}).get("caller") or await _authenticate(request)
        if ADMIN in caller.scopes:
            return caller
        return await super().__call__(request)


class AuthenticatedRoute(StrictRoute):
    """A route that knows its caller before it reads a body: a stranger's body is never read, let alone parsed."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if any(isinstance(dependency.call, UserWith | OwnerOrAdmin) for dependency in self.dependant.dependencies):
            # Said here and read from the headers by us: as a parameter of FastAPI's it would be validated twice.
            extra = dict(self.openapi_extra or {})
            parameters = extra.get("parameters", [])
            self.openapi_extra = {**extra, "parameters": [*parameters, _X_USER_ID]}

    @staticmethod
    async def before_body(request: Request) -> None:
        """Puts the caller into `request.state.caller`."""
        await _authenticate(request)


class AuthenticatedHotRoute(AuthenticatedRoute, HotRoute):
    """The same for a hot route."""


def authenticated_router(
    prefix: str, tag: str, route_class: type[AuthenticatedRoute] = AuthenticatedRoute
) -> APIRouter:
    """A router for routes that know their caller, and that write their responses themselves."""
    return APIRouter(prefix=prefix, tags=[tag], route_class=route_class, default_response_class=Response)


def authorization_check(connection: HTTPConnection) -> AuthorizationCheck:
    """Authenticates the caller of a stream again, each time it is called. Raises what `authenticate` raises."""
    return partial(service(connection, Authenticator).authenticate, connection)


async def _authenticate(request: Request) -> Caller:
    caller: Caller = await service(request, Authenticator).authenticate(request)
    request.state.caller = caller
    return caller


Reader = Annotated[User, Depends(UserWith(CHATS_READ))]
Writer = Annotated[User, Depends(UserWith(CHATS_WRITE))]
Admin = Annotated[Caller, Depends(CallerWith(ADMIN))]
ReaderOrAdmin = Annotated[Caller, Depends(OwnerOrAdmin(CHATS_READ))]
