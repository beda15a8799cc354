"""The command line: `chatkeep`."""

import gc

# What is imported stays: to look for garbage meanwhile takes a fifth of the time that a process needs to start, and to
# go through it once more at the end a third of what a short command takes.
gc.disable()

import typer  # noqa: E402

from app.cli import check, export, import_, keys, search, serve, stats  # noqa: E402

gc.freeze()
gc.enable()

app = typer.Typer(
    name="chatkeep",
    help="Chatkeep, the conversation store for AI agents. Settings come from CHATKEEP_… variables or a .env file.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
app.command("serve")(serve.serve)
app.command("migrate")(serve.migrate)
app.command("stats")(stats.stats)
app.command("search")(search.search)
app.command("export")(export.export)
app.command("import")(import_.import_)
app.command("check")(check.check)
app.add_typer(keys.app, name="keys")


def main() -> None:
    """Runs the command line."""
    app()
