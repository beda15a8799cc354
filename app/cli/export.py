"""`chatkeep export`: writes chats to a file, or to the standard output."""

import contextlib
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import httpx2
import typer

from app.archive_formats import exports
from app.cli.database import failure
from app.cli.options import ServiceOptions, TagFilter, Timestamp, with_service_options
from app.cli.service import QueryParams, ServiceClient, run_with_service
from app.cli.terminal import ProgressBar, format_json, interruptible, progress_bar

STANDARD_OUTPUT = Path("-")
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


@with_service_options
def export(
    chat: Annotated[
        str | None, typer.Argument(help="One chat, by its id or as key:<key>. Without it: all that the filters let.")
    ] = None,
    format_: Format = None,
    output: Output = STANDARD_OUTPUT,
    every: Annotated[bool, typer.Option("--all", help="The chats of all users; the key must have admin.")] = False,
    state: Annotated[
        str | None, typer.Option(help="active, archived, deleted or all. Without it: all but the trash.")
    ] = None,
    platform: Annotated[str | None, typer.Option(help="Only of this platform.")] = None,
    tag: TagFilter = None,
    pinned: Annotated[bool | None, typer.Option("--pinned/--not-pinned", help="Only those.")] = None,
    created_after: Timestamp = None,
    created_before: Timestamp = None,
    active_after: Timestamp = None,
    active_before: Timestamp = None,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Only with this in their metadata. Repeatable.")
    ] = None,
    *,
    options: ServiceOptions,
) -> None:
    """Export chats: from a running service (--url, --key), or straight from the database of the settings.

    The file takes its name when it is complete: one that broke off is never there, and the exit code is 1.
    chatkeep export --user ann -o ann.jsonl takes everything that ann has, chatkeep import brings it back.
    """
    options.require_user(every)
    if options.json and output == STANDARD_OUTPUT:
        raise typer.BadParameter("with --json, the export needs a file of its own: --output")
    filters: dict[str, Any] = dict(_metadata_filter(option) for option in metadata or ())
    filters |= {"state": state, "platform": platform, "tag": tag}
    filters |= {"pinned": None if pinned is None else str(pinned).lower()}
    filters |= {"created_after": created_after, "created_before": created_before}
    filters |= {"active_after": active_after, "active_before": active_before}
    if chat is not None and (every or any(value is not None for value in filters.values())):
        raise typer.BadParameter("one chat is exported whole: filters and --all are for many")
    format_ = format_ or ("jsonl" if chat is None else "json")
    query = {"format": format_, "all_users": every, **filters} if chat is None else {"format": format_}
    path = "/export" if chat is None else f"/chats/{quote(chat, safe=':')}/export"
    download = _Download(path, query, output)
    run_with_service(options, download.run)
    if options.json:
        summary = {"output": str(output), "format": format_, "bytes": download.size}
        typer.echo(format_json(summary | ({} if download.messages is None else {"messages": download.messages})))
    elif output != STANDARD_OUTPUT:
        messages = "" if download.messages is None else f"{download.messages:,} messages, "
        typer.echo(f"{output}: {messages}{download.size:,} bytes.", err=True)


def _metadata_filter(option: str) -> tuple[str, str]:
    name, separator, value = option.partition("=")
    if not separator or not name:
        raise typer.BadParameter(f"--metadata is NAME=VALUE, not {option!r}")
    return f"metadata.{name}", value


@dataclass
class _Download:
    """One export under way; `messages` are counted where the format has a line for each."""

    path: str
    query: QueryParams
    output: Path
    size: int = 0
    messages: int | None = None
    begun: bool = False

    async def run(self, service: ServiceClient) -> None:
        """Writes it. Exits saying so where it breaks off."""
        if self.query["format"] == "jsonl":
            self.messages = 0
        try:
            async with service.stream("GET", self.path, query=self.query) as response:
                self.begun = True
                with output_file(self.output) as write, progress_bar("exporting") as progress:
                    await self._copy(response, write, progress)
        except httpx2.HTTPError:
            if not self.begun:
                raise
            note = "" if self.output == STANDARD_OUTPUT else f"; {self.output} is not written"
            raise failure(f"The export broke off after {self.size:,} bytes{note}.") from None
        except BrokenPipeError:
            raise
        except OSError as error:
            raise failure(f"{self.output} cannot be written: {error.strerror or error}") from None

    async def _copy(self, response: httpx2.Response, write: Callable[[bytes], object], progress: ProgressBar) -> None:
        tail = b""
        async for chunk in response.aiter_bytes():
            with interruptible():
                write(chunk)
            self.size += len(chunk)
            if self.messages is not None:
                window = tail + chunk
                self.messages += window.count(_MESSAGE)
                tail = window[1 - len(_MESSAGE) :]
            progress.advance(len(chunk), self.messages)


@contextmanager
def output_file(output: Path) -> Iterator[Callable[[bytes], object]]:
    """Writes a file atomically: under a temporary name, renamed when the context ends well. Raises OSError.

    What is no ordinary file, such as a pipe, is written as it comes.
    """
    if output == STANDARD_OUTPUT:
        yield sys.stdout.buffer.write
        sys.stdout.buffer.flush()
        return
    path = output.resolve()
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file.write
        return
    unfinished = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.part")
    try:
        with unfinished.open("xb") as file:
            yield file.write
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
