"""Command-line options that several commands share, declared once."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Annotated, Any

import typer

JsonOutput = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Timestamp = Annotated[str | None, typer.Option(help="As 2030-01-31T12:00:00Z.", metavar="TIMESTAMP")]
TagFilter = Annotated[
    list[str] | None, typer.Option(help="Only chats with this tag. Repeatable: with each of the tags.")
]


@dataclass(frozen=True)
class ServiceOptions:
    """Which service a command asks, for which user, and whether it prints JSON.

    Raises typer.BadParameter for a URL without a key.
    """

    user: Annotated[
        str | None, typer.Option(help="For whom: the user that a service key, or the database, is asked for.")
    ] = None
    url: Annotated[
        str | None,
        typer.Option(
            envvar="CHATKEEP_URL",
            help="A running service, such as http://127.0.0.1:8000. Without it: the database of the settings itself.",
        ),
    ] = None
    key: Annotated[
        str | None,
        typer.Option(
            envvar="CHATKEEP_KEY", help="An API key or token for that service; others may see it in an option."
        ),
    ] = None
    local: Annotated[
        bool, typer.Option("--local", help="Straight on the database, even if there is a CHATKEEP_URL.")
    ] = False
    json: JsonOutput = False

    def __post_init__(self) -> None:
        if not self.is_local and not self.key:
            raise typer.BadParameter("a service is asked with a key: --key, or CHATKEEP_KEY")

    @property
    def is_local(self) -> bool:
        """Whether the command works straight on the database."""
        return self.local or not self.url

    def require_user(self, *others: object) -> None:
        """Raises typer.BadParameter for the database itself where neither a user nor any of `others` is named."""
        if self.is_local and not self.user and not any(others):
            raise typer.BadParameter("the database has many users: say --user" + (" or --all" if others else ""))


def with_service_options(command: Callable[..., None]) -> Callable[..., None]:
    """A command with one more option for each field of ServiceOptions; it gets them as its argument `options`."""
    fields = inspect.signature(ServiceOptions).parameters
    parameters = [one for one in inspect.signature(command).parameters.values() if one.name != "options"]

    @wraps(command)
    def wrapper(**values: Any) -> None:
        options = ServiceOptions(**{name: values.pop(name) for name in fields})
        command(**values, options=options)

    # Typer reads it.
    wrapper.__signature__ = inspect.Signature([*parameters, *fields.values()])  # type: ignore[attr-defined]
    return wrapper
