"""`chatkeep search`: full-text search of messages and chats."""

from html import unescape
from typing import Annotated, Any

import typer
from rich.text import Text

from app.cli.options import ServiceOptions, TagFilter, Timestamp, with_service_options
from app.cli.service import run_with_service
from app.cli.terminal import console, format_json, printable, short_timestamp


@with_service_options
def search(
    query: Annotated[str, typer.Argument(help='words, "a phrase", -without, one OR another, begin*')],
    chat: Annotated[str | None, typer.Option(help="Only in this chat: its id, or key:<key>.")] = None,
    role: Annotated[str | None, typer.Option(help="Only messages of this role.")] = None,
    platform: Annotated[str | None, typer.Option(help="Only in chats of this platform.")] = None,
    tag: TagFilter = None,
    after: Timestamp = None,
    before: Timestamp = None,
    include_deleted: Annotated[bool, typer.Option("--include-deleted", help="In the trash too.")] = False,
    order: Annotated[str | None, typer.Option(help="best, or newest first.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, max=200, help="How many at most.")] = None,
    cursor: Annotated[str | None, typer.Option(help="What an earlier search said of how to go on.")] = None,
    *,
    options: ServiceOptions,
) -> None:
    """Search a user's messages, and the titles and summaries of their chats; best first.

    Of a running service (--url, --key), or straight in the database of the settings. A query that begins with a - comes
    after a --: chatkeep search --user ann -- '-raw egg'
    """
    options.require_user()
    params: dict[str, Any] = {"q": query, "chat": chat, "role": role, "platform": platform, "tag": tag}
    params |= {"after": after, "before": before, "include_deleted": include_deleted}
    params |= {"order": order, "limit": limit, "cursor": cursor}
    page = run_with_service(options, lambda service: service.get("/search", **params))
    if options.json:
        typer.echo(format_json(page))
        return
    out = console()
    for number, hit in enumerate(page["items"]):
        if number:
            out.print()
        out.print(_heading(hit), soft_wrap=True)
        out.print(marked(hit["snippet"]), soft_wrap=True)
    if not page["items"]:
        typer.echo("Nothing has these words.", err=True)
    if page["next_cursor"]:
        typer.echo(f"There is more: --cursor {page['next_cursor']}", err=True)


def _heading(hit: dict[str, Any]) -> Text:
    title = printable(hit["title"] or "(no title)")
    position = hit["chat_id"] if hit["kind"] == "chat" else f"{hit['chat_id']} {hit['seq']} {printable(hit['role'])}"
    return Text.assemble((title, "bold"), " ", (f"{position} {short_timestamp(hit['created_at'])}", "dim"))


def marked(snippet: str) -> Text:
    """A snippet, which is HTML whose only tags are `<mark>` and `</mark>`, for a terminal."""
    text = Text()
    first, *others = snippet.split("<mark>")
    text.append(printable(unescape(first)))
    for other in others:
        match, _, rest = other.partition("</mark>")
        text.append(printable(unescape(match)), "bold yellow")
        text.append(printable(unescape(rest)))
    return text
