"""`chatkeep keys`: API keys, straight on the database, so it needs no key and works while nothing serves."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar

import orjson
import typer
from pydantic import ValidationError
from rich.table import Table

from app.auth.caller import CHATS_READ, CHATS_WRITE, SCOPES
from app.auth.schemas import ApiKeyIn, key_fields
from app.auth.store import ApiKeyStore
from app.cli.database import open_database, read_settings
from app.cli.options import JsonOutput
from app.cli.terminal import console, format_json
from app.db.timestamps import now, to_iso
from app.http.paging import MAX_LIMIT

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys, straight on the database.")


@app.command()
def create(
    name: Annotated[str, typer.Option(help="What the key is for, to know it again in the list.")],
    user: Annotated[
        str | None, typer.Option(help="The user it acts for. Without one: a service key, for whom X-User-Id names.")
    ] = None,
    scope: Annotated[list[str] | None, typer.Option(help=f"What it may do: {', '.join(SCOPES)}. Repeatable.")] = None,
    expires: Annotated[
        str | None, typer.Option(help="When it stops working: in so many days, as 90d, or at 2030-01-31T12:00:00Z.")
    ] = None,
    json: JsonOutput = False,
) -> None:
    """Make an API key and print it: this once, since only its SHA-256 is stored.

    Without --scope it may read and write chats. Only the key goes to the standard output:
    KEY=$(chatkeep keys create --name "my agent")
    """
    fields = {"name": name, "user_id": user, "scopes": scope or [CHATS_READ, CHATS_WRITE]}
    try:
        key = ApiKeyIn.model_validate({**fields, "expires_at": _expiry(expires) if expires else None})
    except ValidationError as error:
        first = error.errors()[0]
        raise typer.BadParameter(f"{first['loc'][0]}: {first['msg']}") from None
    response = _with_store(lambda store: store.create(key))
    created: dict[str, Any] = orjson.loads(response.body)
    if json:
        typer.echo(format_json(created))
    else:
        owner = f"for the user {created['user_id']}" if created["user_id"] else "a service key"
        typer.echo(created["key"])
        typer.echo(f"{created['key_id']}: {owner}, {' '.join(created['scopes'])}. It is not shown again.", err=True)


@app.command(name="list")
def show(json: JsonOutput = False) -> None:
    """List the API keys, newest first, revoked ones too. Their secrets are not stored, so they are not shown."""
    rows = _with_store(_all_keys)
    if json:
        typer.echo(format_json(rows))
        return
    columns = ("key_id", "name", "user_id", "scopes", "hint", "created_at", "expires_at", "revoked_at")
    table = Table(*columns, box=None)
    table.columns[0].no_wrap = True
    for row in rows:
        row = {**row, "user_id": row["user_id"] or "(service key)", "scopes": " ".join(row["scopes"])}
        table.add_row(*(str(row[column] or "-") for column in columns))
    console().print(table)


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="KEY_ID", help="The key_id that create and list show.")],
) -> None:
    """Revoke an API key for good: every running process refuses it within 5 seconds."""
    _with_store(lambda store: store.revoke(key_id))
    typer.echo(f"{key_id} is revoked.", err=True)


async def _all_keys(store: ApiKeyStore) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    after = None
    while page := await store.page(MAX_LIMIT, after):
        rows += [key_fields(row) for row in page]
        after = page[-1].key_id
    return rows


def _expiry(text: str) -> str:
    """An ISO 8601 timestamp, from one or from a number of days; what is neither is refused by ApiKeyIn."""
    if days := re.fullmatch(r"([1-9]\d{0,5})d", text):
        return to_iso(now() + timedelta(days=int(days[1])))
    try:
        timestamp = datetime.fromisoformat(text)
    except ValueError:
        return text
    return text if timestamp.tzinfo else f"{timestamp.isoformat()}Z"


def _with_store(work: Callable[[ApiKeyStore], Awaitable[T]]) -> T:
    async def open_and_work() -> T:
        async with open_database(read_settings()) as db:
            return await work(ApiKeyStore(db))

    return asyncio.run(open_and_work())
