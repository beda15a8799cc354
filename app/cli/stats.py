"""`chatkeep stats`: how much there is, when it came, who is most active, and what the database takes."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from app.cli.options import ServiceOptions, with_service_options
from app.cli.service import run_with_service
from app.cli.terminal import console, format_json, printable, short_timestamp

COUNTERS = ("messages", "input_tokens", "output_tokens", "total_tokens")


@with_service_options
def stats(
    daily: Annotated[bool, typer.Option("--daily", help="A series: what was written when.")] = False,
    top: Annotated[bool, typer.Option("--top", help="The most active users; the key must have admin.")] = False,
    storage: Annotated[
        bool, typer.Option("--storage", help="What the database, its tables and indexes take; the key must have admin.")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="Over all users; the key must have admin.")] = False,
    by: Annotated[
        str | None, typer.Option(help="With --daily: hour, day or week. With --top: messages, tokens or chats.")
    ] = None,
    from_: Annotated[
        str | None, typer.Option("--from", metavar="WHEN", help="With --daily: its first day, as 2030-01-31.")
    ] = None,
    to: Annotated[str | None, typer.Option(metavar="WHEN", help="With --daily: its last day.")] = None,
    tz: Annotated[str | None, typer.Option(help="With --daily: whose days, as Europe/Berlin; without it UTC.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, max=200, help="With --top: how many users at most.")] = None,
    *,
    options: ServiceOptions,
) -> None:
    """Show totals of a user (--user) or of all (--all), or one of --daily, --top and --storage.

    Of a running service (--url, --key), or straight from the database of the settings. Chats in the trash count too.
    """
    if daily + top + storage > 1:
        raise typer.BadParameter("one at a time: --daily, --top or --storage")
    params: dict[str, Any] = {"from": from_, "to": to, "tz": tz} if daily else {"limit": limit} if top else {}
    params |= {"by": by} if daily or top else {}
    filters = {"from": from_, "to": to, "tz": tz, "limit": limit, "by": by}
    if stray := [name for name, value in filters.items() if value is not None and name not in params]:
        raise typer.BadParameter(f"--{stray[0]} does not go with this: --help says what it is for")
    if not (top or storage):
        options.require_user(every)
        params["all_users"] = every
    path, print_result = "/stats", _print_totals
    if daily:
        path, print_result = "/stats/daily", _print_series
    elif top:
        path, print_result = "/stats/top", _print_top
    elif storage:
        path, print_result = "/stats/storage", _print_storage
    result = run_with_service(options, lambda service: service.get(path, **params))
    if options.json:
        typer.echo(format_json(result))
    else:
        print_result(result, console())


def _print_totals(result: dict[str, Any], out: Console) -> None:
    table = Table(box=None, show_header=False)
    for name, value in result.items():
        if not isinstance(value, list):
            table.add_row(_label(name), _cell(name, value))
    out.print(table)
    for kind in ("role", "model", "platform"):
        rows: list[dict[str, Any]] = result.get(f"by_{kind}", [])
        if rows:
            out.print()
            out.print(_table((kind, *(name for name in rows[0] if name != kind)), rows))


def _print_series(result: dict[str, Any], out: Console) -> None:
    # A day or a week is its date; its beginning in UTC may be another one.
    length = 16 if result["by"] == "hour" else 10
    rows = ({**item, "start": item["start"][:length].replace("T", " ")} for item in result["items"])
    out.print(_table(("start", "conversations", *COUNTERS), rows))


def _print_top(result: dict[str, Any], out: Console) -> None:
    names = ("user_id", "total_messages", "total_tokens", "total_conversations", "active_conversations")
    out.print(_table((*names, "last_activity_at"), result["items"]))


def _print_storage(result: dict[str, Any], out: Console) -> None:
    sizes = ((_label(name.removesuffix("_bytes")), value) for name, value in result.items() if name.endswith("_bytes"))
    table = Table(box=None, show_header=False)
    table.add_row("database", result["database"])
    for name, value in sizes:
        if value is not None:
            table.add_row(name, decimal(value))
    out.print(table)
    out.print()
    rows = (
        {**table, "table": table["name"], "size": _size(table["bytes"]), "indexes": _size(table["index_bytes"])}
        for table in result["tables"]
    )
    out.print(_table(("table", "rows", "size", "indexes"), rows))


def _table(names: Sequence[str], rows: Iterable[dict[str, Any]]) -> Table:
    """A table whose first column is text, and whose others are numbers and timestamps."""
    table = Table(box=None)
    for index, name in enumerate(names):
        table.add_column(_label(name), justify="right" if index else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(_cell(name, row[name]) for name in names))
    return table


def _label(name: str) -> str:
    return name.removesuffix("_at").removesuffix("_id").replace("_", " ")


def _size(value: int | None) -> str | None:
    return None if value is None else decimal(value)


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.1f}"
    if isinstance(value, int):
        return f"{value:,}"
    return short_timestamp(value) if name.endswith("_at") else printable(value)
