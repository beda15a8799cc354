"""`chatkeep import`: uploads files of conversations, in any format that Chatkeep reads."""

import os
import stat
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from app.archive_formats import imports
from app.cli.database import failure
from app.cli.options import ServiceOptions, with_service_options
from app.cli.service import ServiceClient, json_body, run_with_service
from app.cli.terminal import ProgressBar, format_json, interruptible, printable, progress_bar, wait_readable

STANDARD_INPUT = Path("-")
CHUNK_BYTES = 256 * 1024
MEDIA_TYPE = "application/octet-stream"
FIELD = "file"


@with_service_options
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
    *,
    options: ServiceOptions,
) -> None:
    """Import conversations: Chatkeep's own exports, those of ChatGPT and of many others, as they are or in a zip.

    Into a running service (--url, --key), or straight into the database of the settings. Each chat goes in whole or not
    at all, and the same file twice adds nothing. The exit code is 1 if something was wrong with a file.
    """
    options.require_user(every)
    if len(files) > 1 and STANDARD_INPUT in files:
        raise typer.BadParameter("the standard input comes alone")
    query: dict[str, Any] = {"format": format_, "dry_run": dry_run, "on_conflict": on_conflict}
    query |= {"keep_ids": keep_ids, "all_users": every}
    with ExitStack() as stack:
        opened = [stack.enter_context(_opened(file)) for file in files]
        sizes = [_size_of(file) for file in opened]
        total = None if None in sizes else sum(size or 0 for size in sizes)

        async def upload(service: ServiceClient) -> Any:
            with progress_bar("uploading", total, "storing …") as progress:
                body = _request_body(files, opened, total, progress)
                async with service.stream("POST", "/import", query=query, **body) as response:
                    return await json_body(response)

        report = run_with_service(options, upload)
    if options.json:
        typer.echo(format_json(report))
    else:
        _print_report(report)
    if report["errors_total"]:
        raise typer.Exit(1)


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    if file == STANDARD_INPUT:
        yield sys.stdin.buffer
        return
    try:
        opened = file.open("rb")
    except OSError as error:
        raise failure(f"{file} cannot be read: {error.strerror or error}") from None
    with opened:
        yield opened


def _size_of(file: BinaryIO) -> int | None:
    """The size of a regular file in bytes; None for a pipe or a terminal."""
    status = os.fstat(file.fileno())
    return status.st_size if stat.S_ISREG(status.st_mode) else None


class _ProgressReader:
    """A file whose progress bar shows how much of it was read. What cannot be read ends the command."""

    def __init__(self, name: Path, file: BinaryIO, progress: ProgressBar) -> None:
        self._name = name
        self._file = file
        self._progress = progress

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        with interruptible():
            return self._counted(lambda: self._file.read(size))

    async def chunks(self) -> AsyncIterator[bytes]:
        """All of it, as it comes."""
        while True:
            await wait_readable(self.fileno())
            chunk = self._counted(lambda: os.read(self.fileno(), CHUNK_BYTES))
            if not chunk:
                return
            yield chunk

    def fileno(self) -> int:
        """The file's descriptor, from which its size is known."""
        return self._file.fileno()

    def _counted(self, read: Callable[[], bytes]) -> bytes:
        try:
            chunk = read()
        except OSError as error:
            raise failure(f"{self._name} cannot be read: {error.strerror or error}") from None
        self._progress.advance(len(chunk))
        return chunk


def _request_body(names: list[Path], files: list[BinaryIO], size: int | None, progress: ProgressBar) -> dict[str, Any]:
    """The body of the request: one file as it is, several as a form."""
    readers = [_ProgressReader(name, file, progress) for name, file in zip(names, files, strict=True)]
    if len(readers) > 1:
        return {"files": [(FIELD, (name.name, file, MEDIA_TYPE)) for name, file in zip(names, readers, strict=True)]}
    headers = {"Content-Type": MEDIA_TYPE} | ({} if size is None else {"Content-Length": str(size)})
    return {"content": readers[0].chunks(), "headers": headers}


def _print_report(report: dict[str, Any]) -> None:
    """The report, in a few lines; what is wrong with the files goes to the standard error."""
    chats, messages = report["chats"], report["messages"]
    outcomes = ", ".join(f"{count:,} {name}" for name, count in chats.items() if count and name != "found")
    found = f"{report['format'] or 'no format'}: {chats['found']:,} chats found"
    stored = f"{messages['imported']:,} of {messages['found']:,} messages"
    typer.echo(f"{'dry run, ' if report['dry_run'] else ''}{found}{f', {outcomes}' if outcomes else ''}; {stored}")
    for error in report["errors"]:
        typer.echo(f"{printable(error['place'])}: {printable(error['reason'])}", err=True)
    if report["errors_total"] > len(report["errors"]):
        typer.echo(f"and {report['errors_total'] - len(report['errors']):,} errors more", err=True)
