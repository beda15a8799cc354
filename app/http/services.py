"""How routes reach the application's services: by their class, typed, from the request."""

from typing import Protocol, TypeVar

from starlette.requests import HTTPConnection

T = TypeVar("T")


class ServiceLocator(Protocol):
    """Knows one service of each class; `app.services.Services` is the one that the application has."""

    def get(self, kind: type[T]) -> T | None:
        """The service of a class; None where there is none."""


def service(connection: HTTPConnection, kind: type[T]) -> T:
    """The service of a class, of the application that answers a request."""
    found = optional_service(connection, kind)
    assert found is not None, kind
    return found


def optional_service(connection: HTTPConnection, kind: type[T]) -> T | None:
    """The same for a service that the settings may switch off: then None."""
    services: ServiceLocator = connection.app.state.services
    return services.get(kind)
