"""`chatkeep search`: messages and chats by their words."""

from html import unescape
from typing import Annotated, Any

import typer
from rich.text import Text

from app.cli.remote import AsJson, Key, Local, Target, Url, User, as_json, ask
from app.cli.terminal import console, moment, shown

Timestamp = Annotated[str | None, typer.Option(help="As 2030-01-31T12:00:00Z.", metavar="MOMENT")]


def search(
    query: Annotated[str, typer.Argument(help='words, "a phrase", -without, one OR another, begin*')],
    chat: Annotated[str | None, typer.Option(help="Only in this chat: its id, or key:<key>.")] = None,
    role: Annotated[str | None, typer.Option(help="Only messages of this role.")] = None,
    platform: Annotated[str | None, typer.Option(help="Only in chats of this platform.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Only in chats with this tag. Repeatable: with each.")] = None,
    after: Timestamp = None,
    before: Timestamp = None,
    include_deleted: Annotated[bool, typer.Option("--include-deleted", help="In the trash too.")] = False,
    order: Annotated[str | None, typer.Option(help="best, or newest first.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, max=200, help="How many at most.")] = None,
    cursor: Annotated[str | None, typer.Option(help="What an earlier search said of how to go on.")] = None,
    user: User = None,
    url: Url = None,
    key: Key = None,
    local: Local = False,
    json: AsJson = False,
) -> None:
    """Search a user's messages, and the titles and summaries of their chats; best first.

    Of a running service (--url, --key), or straight in the database of the settings. A query that begins with a - comes
    after a --: chatkeep search --user ann -- '-raw egg'
    """
    target = Target(url, key, local, user)
    target.needs_user()
    asked: dict[str, Any] = {
        "q": query,
        "chat": chat,
        "role": role,
        "platform": platform,
        "tag": tag,
        "after": after,
        "before": before,
        "include_deleted": include_deleted,
        "order": order,
        "limit": limit,
        "cursor": cursor,
    }
    page = ask(target, lambda service: service.get("/search", **asked))
    if json:
        typer.echo(as_json(page))
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
    """Where it was found."""
    title = shown(hit["title"] or "(no title)")
    place = hit["chat_id"] if hit["kind"] == "chat" else f"{hit['chat_id']} {hit['seq']} {shown(hit['role'])}"
    return Text.assemble((title, "bold"), " ", (f"{place} {moment(hit['created_at'])}", "dim"))


def marked(snippet: str) -> Text:
    """A snippet, which is HTML whose only tags are `<mark>` and `</mark>`, for a terminal."""
    text = Text()
    first, *others = snippet.split("<mark>")
    text.append(shown(unescape(first)))
    for other in others:
        match, _, rest = other.partition("</mark>")
        text.append(shown(unescape(match)), "bold yellow")
        text.append(shown(unescape(rest)))
    return text
