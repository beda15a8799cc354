"""`chatkeep export`: chats into a file, or onto the standard output."""

import contextlib
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO
from urllib.parse import quote

import httpx2
import typer

from app.archive_formats import exports
from app.cli.database import failed
from app.cli.remote import AsJson, Key, Local, Query, Service, Target, Url, User, as_json, ask
from app.cli.terminal import Bar, bar, interruptible

STANDARD = Path("-")
# How a line of `jsonl` begins that is a message; within a text the quotes would be escaped.
_MESSAGE = b'{"record":"message"'

Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        "-f",
        help=f"One of {', '.join(sorted(exports()))}. Without it json for one chat, and jsonl for many: these two lose "
        "nothing.",
    ),
]
Output = Annotated[
    Path,
    typer.Option(
        "--output", "-o", help="The file; it is there once it is whole. Without one, or with -: the standard output."
    ),
]
Timestamp = Annotated[str | None, typer.Option(help="As 2030-01-31T12:00:00Z.", metavar="MOMENT")]


def export(
    chat: Annotated[
        str | None, typer.Argument(help="One chat, by its id or as key:<key>. Without it: all that the filters let.")
    ] = None,
    format_: Format = None,
    output: Output = STANDARD,
    every: Annotated[bool, typer.Option("--all", help="The chats of all users; the key must have admin.")] = False,
    state: Annotated[str | None, typer.Option(help="active (unless said otherwise), deleted or all.")] = None,
    platform: Annotated[str | None, typer.Option(help="Only of this platform.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Only with this tag. Repeatable: with each of them.")] = None,
    pinned: Annotated[bool | None, typer.Option("--pinned/--not-pinned", help="Only those.")] = None,
    created_after: Timestamp = None,
    created_before: Timestamp = None,
    active_after: Timestamp = None,
    active_before: Timestamp = None,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Only with this in their metadata. Repeatable.")
    ] = None,
    user: User = None,
    url: Url = None,
    key: Key = None,
    local: Local = False,
    json: AsJson = False,
) -> None:
    """Export chats: from a running service (--url, --key), or straight from the database of the settings.

    The file takes its name when it is complete: one that broke off is never there, and the exit code is 1.
    chatkeep export --user ann -o ann.jsonl takes everything that ann has, chatkeep import brings it back.
    """
    target = Target(url, key, local, user)
    target.needs_user(every)
    if json and output == STANDARD:
        raise typer.BadParameter("with --json, the export needs a file of its own: --output")
    filters: dict[str, Any] = {
        "state": state,
        "platform": platform,
        "tag": tag,
        "pinned": None if pinned is None else str(pinned).lower(),
        "created_after": created_after,
        "created_before": created_before,
        "active_after": active_after,
        "active_before": active_before,
        **dict(_metadata(one) for one in metadata or ()),
    }
    if chat is not None and (every or any(value is not None for value in filters.values())):
        raise typer.BadParameter("one chat is exported whole: filters and --all are for many")
    format_ = format_ or ("jsonl" if chat is None else "json")
    query = {"format": format_, "all_users": every, **filters} if chat is None else {"format": format_}
    path = "/export" if chat is None else f"/chats/{quote(chat, safe=':')}/export"
    done = _Export(path, query, output)
    ask(target, done.run)
    if json:
        said = {"output": str(output), "format": format_, "bytes": done.size}
        typer.echo(as_json(said | ({} if done.messages is None else {"messages": done.messages})))
    elif output != STANDARD:
        many = "" if done.messages is None else f"{done.messages:,} messages, "
        typer.echo(f"{output}: {many}{done.size:,} bytes.", err=True)


def _metadata(given: str) -> tuple[str, str]:
    name, separator, value = given.partition("=")
    if not separator or not name:
        raise typer.BadParameter(f"--metadata is NAME=VALUE, not {given!r}")
    return f"metadata.{name}", value


@dataclass
class _Export:
    """One export under way; `messages` are counted where the format has a line for each."""

    path: str
    query: Query
    output: Path
    size: int = 0
    messages: int | None = None
    begun: bool = False

    async def run(self, service: Service) -> None:
        """Writes it. Exits saying so where it breaks off."""
        if self.query["format"] == "jsonl":
            self.messages = 0
        try:
            async with service.stream("GET", self.path, query=self.query) as answer:
                self.begun = True
                with written(self.output) as write, bar("exporting") as shown:
                    await self._copy(answer, write, shown)
        except httpx2.HTTPError:
            if not self.begun:
                raise
            kept = "" if self.output == STANDARD else f"; {self.output} is not written"
            raise failed(f"The export broke off after {self.size:,} bytes{kept}.") from None
        except BrokenPipeError:
            raise
        except OSError as error:
            raise failed(f"{self.output} cannot be written: {error.strerror or error}") from None

    async def _copy(self, answer: httpx2.Response, write: Callable[[bytes], object], shown: Bar) -> None:
        begun = b""
        async for part in answer.aiter_bytes():
            with interruptible():
                write(part)
            self.size += len(part)
            if self.messages is not None:
                window = begun + part
                self.messages += window.count(_MESSAGE)
                begun = window[1 - len(_MESSAGE) :]
            shown.on(len(part), self.messages)


@contextmanager
def written(output: Path) -> Iterator[Callable[[bytes], object]]:
    """Writes a file under another name, and gives it its own when the context ends well. Raises OSError.

    What is no ordinary file, such as a pipe, is written as it comes.
    """
    if output == STANDARD:
        yield sys.stdout.buffer.write
        sys.stdout.buffer.flush()
        return
    place = output.resolve()
    if place.exists() and not place.is_file():
        with place.open("wb") as file:
            yield file.write
        return
    unfinished = place.with_name(f".{place.name[:200]}.{secrets.token_hex(4)}.part")
    try:
        with unfinished.open("xb") as file:
            yield file.write
            _onto_disk(file)
        unfinished.replace(place)
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)


def _onto_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
