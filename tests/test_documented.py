"""Undocumented is failing: what users can see, against the README, `docs/` and `.env.example`."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from fastapi import FastAPI
from pydantic.fields import FieldInfo
from typer.core import TyperGroup

from app.cli import app as cli
from app.http.errors import Problem
from app.main import create_app
from app.settings import Settings
from tests.document import OPERATIONS

ROOT = Path(__file__).parents[1]
PAGES = {path.name: path.read_text() for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
ALL = "\n".join(PAGES.values())


@pytest.fixture(scope="module")
def app() -> FastAPI:
    """A service without a database, for what it says of itself."""
    return create_app(Settings(_env_file=None))


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"CHATKEEP_{name.upper()}"


def default(field: FieldInfo) -> str:
    """A setting's default as one would write it into `.env`."""
    value = field.get_default()
    if isinstance(value, tuple):
        return ",".join(value)
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def test_routes() -> None:
    calls = [str(operation) for operation in OPERATIONS]
    assert [call for call in calls if f"`{call}`" not in ALL] == []


def test_parameters() -> None:
    parameters = [p for operation in OPERATIONS for p in operation.entry.get("parameters", [])]
    names = {p["name"] for p in parameters if p["in"] != "path"}
    assert sorted(name for name in names if name not in ALL) == []


@pytest.mark.parametrize(
    ("page", "schemas"),
    [
        ("chats.md", ("ChatIn", "ChatOut")),
        ("messages.md", ("MessageIn", "MessageOut")),
        ("changes.md", ("ChangeOut", "ChangePage", "TicketOut")),
        ("answers.md", ("Progress", "CompleteIn", "FailIn")),
        ("edits.md", ("RevisionOut", "FeedbackIn", "FeedbackOut")),
        ("turns.md", ("TurnIn", "TurnTaken", "TurnRenewal", "TurnOut")),
        ("search.md", ("MessageHit", "ChatHit")),
        ("stats.md", ("StatsOut", "SeriesOut", "Step", "TopOut", "StorageOut", "TableSize")),
        ("auth.md", ("ApiKeyIn", "ApiKeyMade")),
        (
            "openai.md",
            ("ConversationIn", "ConversationOut", "ConversationDeleted", "MetadataIn", "ItemsIn", "ItemList"),
        ),
    ],
)
def test_fields(app: FastAPI, page: str, schemas: tuple[str, ...]) -> None:
    fields = [name for schema in schemas for name in app.openapi()["components"]["schemas"][schema]["properties"]]
    assert [name for name in fields if f"`{name}`" not in PAGES[page]] == []


def test_errors() -> None:
    rows = re.findall(r"^\| (\d+) \| `([\w-]+)` \|", PAGES["errors.md"], re.MULTILINE)
    said = {(int(status), slug) for status, slug in rows}
    assert sorted({(problem.status, problem.slug) for problem in Problem.__subclasses__()} - said) == []
    stored_response = {int(status) for operation in OPERATIONS for status in operation.entry["responses"]}
    assert sorted(stored_response - {200, 201, 202, 204, 304} - {status for status, _ in said}) == []


def test_settings_are_in_the_page() -> None:
    table = []
    for name, field in Settings.model_fields.items():
        shown = default(field) and f"`{default(field)}`"
        table.append(f"| `{variable(name)}` | {shown} | {field.description} |")
    assert [row for row in table if row not in PAGES["running.md"].splitlines()] == []


def test_settings_are_in_the_example() -> None:
    expected = {variable(name): (default(field), field.description) for name, field in Settings.model_fields.items()}
    said = {}
    for block in (ROOT / ".env.example").read_text().strip().split("\n\n")[1:]:
        *comment, assignment = block.splitlines()
        name, _, value = assignment.removeprefix("#").partition("=")
        said[name] = (value, " ".join(line.removeprefix("# ") for line in comment))
    assert said == expected
    assert list(said) == list(expected)


def test_make_targets() -> None:
    targets = re.findall(r"^([a-z][a-z0-9-]*):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert "run" in targets
    written = ALL + (ROOT / "CONTRIBUTING.md").read_text()
    assert [target for target in targets if not re.search(rf"make {target}(?![\w-])", written)] == []


def commands(group: TyperGroup, name: str) -> Iterator[str]:
    """Every command under a group, as it is called."""
    for word, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, f"{name} {word}")
        else:
            yield f"{name} {word}"


def test_commands() -> None:
    group = typer.main.get_command(cli)
    assert isinstance(group, TyperGroup)
    assert [command for command in commands(group, "chatkeep") if command not in ALL] == []


def test_links_lead_somewhere() -> None:
    for name, text in PAGES.items():
        page = ROOT / name if name == "README.md" else ROOT / "docs" / name
        for link in re.findall(r"\]\(([^)]+)\)", text):
            target, _, anchor = link.partition("#")
            if not target.startswith("http"):
                path = page.parent / target if target else page
                assert path.exists(), f"{name}: {link}"
                assert not anchor or anchor in anchors(path), f"{name}: {link}"


def anchors(page: Path) -> list[str]:
    """The anchors of a page's headings."""
    headings = re.findall(r"^#+ (.*)", page.read_text(), re.MULTILINE)
    return [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings]
