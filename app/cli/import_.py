"""`chatkeep import`: conversations out of files, whatever wrote them."""

import os
import stat
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from app.archive_formats import imports
from app.cli.database import failed
from app.cli.remote import AsJson, Key, Local, Service, Target, Url, User, as_json, ask, content
from app.cli.terminal import Bar, bar, interruptible, readable, shown

STANDARD = Path("-")
CHUNK_BYTES = 256 * 1024
MEDIA_TYPE = "application/octet-stream"
FIELD = "file"


def import_(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="One or several, or a zip; - is the standard input.")
    ],
    format_: Annotated[
        str | None,
        typer.Option("--format", "-f", help=f"One of {', '.join(sorted(imports()))}. Without it: it is recognised."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, and store nothing.")] = False,
    on_conflict: Annotated[
        str | None, typer.Option(help="What is there already: skip it (unless said otherwise), replace or copy.")
    ] = None,
    keep_ids: Annotated[bool, typer.Option("--keep-ids", help="Keep ids and times of Chatkeep's own formats.")] = False,
    every: Annotated[
        bool, typer.Option("--all", help="Each chat to the user whom the file names; the key must have admin.")
    ] = False,
    user: User = None,
    url: Url = None,
    key: Key = None,
    local: Local = False,
    json: AsJson = False,
) -> None:
    """Import conversations: Chatkeep's own exports, those of ChatGPT and of many others, as they are or in a zip.

    Into a running service (--url, --key), or straight into the database of the settings. Each chat goes in whole or not
    at all, and the same file twice adds nothing. The exit code is 1 if something was wrong with a file.
    """
    target = Target(url, key, local, user)
    target.needs_user(every)
    if len(files) > 1 and STANDARD in files:
        raise typer.BadParameter("the standard input comes alone")
    query: dict[str, Any] = {
        "format": format_,
        "dry_run": dry_run,
        "on_conflict": on_conflict,
        "keep_ids": keep_ids,
        "all_users": every,
    }
    with ExitStack() as stack:
        opened = [stack.enter_context(_opened(file)) for file in files]
        sizes = [_size_of(file) for file in opened]
        whole = None if None in sizes else sum(size or 0 for size in sizes)

        async def upload(service: Service) -> Any:
            with bar("uploading", whole, "storing …") as progress:
                body = _body(files, opened, whole, progress)
                async with service.stream("POST", "/import", query=query, **body) as answer:
                    return await content(answer)

        report = ask(target, upload)
    if json:
        typer.echo(as_json(report))
    else:
        _tell(report)
    if report["errors_total"]:
        raise typer.Exit(1)


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    if file == STANDARD:
        yield sys.stdin.buffer
        return
    try:
        opened = file.open("rb")
    except OSError as error:
        raise failed(f"{file} cannot be read: {error.strerror or error}") from None
    with opened:
        yield opened


def _size_of(file: BinaryIO) -> int | None:
    """How much there is to read, where that is known: of a file that has a place, not of a pipe."""
    status = os.fstat(file.fileno())
    return status.st_size if stat.S_ISREG(status.st_mode) else None


class _Watched:
    """A file, and the bar that shows how much of it was read. What cannot be read ends the command."""

    def __init__(self, name: Path, file: BinaryIO, progress: Bar) -> None:
        self._name = name
        self._file = file
        self._bar = progress

    def read(self, size: int = -1) -> bytes:
        """Some bytes more."""
        with interruptible():
            return self._noted(lambda: self._file.read(size))

    async def parts(self) -> AsyncIterator[bytes]:
        """All of it, as it comes."""
        while True:
            await readable(self.fileno())
            part = self._noted(lambda: os.read(self.fileno(), CHUNK_BYTES))
            if not part:
                return
            yield part

    def fileno(self) -> int:
        """The file's descriptor, from which its size is known."""
        return self._file.fileno()

    def _noted(self, read: Callable[[], bytes]) -> bytes:
        try:
            part = read()
        except OSError as error:
            raise failed(f"{self._name} cannot be read: {error.strerror or error}") from None
        self._bar.on(len(part))
        return part


def _body(names: list[Path], files: list[BinaryIO], size: int | None, progress: Bar) -> dict[str, Any]:
    """The body of the request: one file as it is, several as a form."""
    watched = [_Watched(name, file, progress) for name, file in zip(names, files, strict=True)]
    if len(watched) > 1:
        return {"files": [(FIELD, (name.name, file, MEDIA_TYPE)) for name, file in zip(names, watched, strict=True)]}
    headers = {"Content-Type": MEDIA_TYPE} | ({} if size is None else {"Content-Length": str(size)})
    return {"content": watched[0].parts(), "headers": headers}


def _tell(report: dict[str, Any]) -> None:
    """The report, in a few lines; what is wrong with the files goes to the standard error."""
    chats, messages = report["chats"], report["messages"]
    done = ", ".join(f"{number:,} {what}" for what, number in chats.items() if number and what != "found")
    found = f"{report['format'] or 'no format'}: {chats['found']:,} chats found"
    stored = f"{messages['imported']:,} of {messages['found']:,} messages"
    typer.echo(f"{'dry run, ' if report['dry_run'] else ''}{found}{f', {done}' if done else ''}; {stored}")
    for error in report["errors"]:
        typer.echo(f"{shown(error['place'])}: {shown(error['reason'])}", err=True)
    if report["errors_total"] > len(report["errors"]):
        typer.echo(f"and {report['errors_total'] - len(report['errors']):,} errors more", err=True)
