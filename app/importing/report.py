"""Import report: what an import did or, as a dry run, would do; counted while it runs."""

from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, Field

from app.http.openapi import example

MAX_ERRORS = 100


class ImportedChats(BaseModel):
    """Chats by what became of them; `found` is all of them."""

    found: int
    imported: int
    skipped: int = Field(description="They were there already.")
    replaced: int
    copied: int
    failed: int = Field(description="See `errors`.")


class ImportedMessages(BaseModel):
    """Messages that were found, and those that were stored."""

    found: int
    imported: int


class ImportProblem(BaseModel):
    """Something in the files that was not imported, or not as it is there."""

    place: str
    reason: str


class ImportOut(BaseModel):
    """What an import did or, as a dry run, would do."""

    model_config = example(
        format="chatgpt",
        dry_run=False,
        chats={"found": 3, "imported": 1, "skipped": 1, "replaced": 0, "copied": 0, "failed": 1},
        messages={"found": 21, "imported": 9},
        errors=[{"place": "file conversations.json, item 3 (line 120)", "reason": "A text has a NUL character."}],
        errors_total=1,
    )

    format: str = Field(description="The format of the files; several are separated by commas.")
    dry_run: bool
    chats: ImportedChats
    messages: ImportedMessages
    errors: list[ImportProblem] = Field(description=f"What is wrong with the files, and where; at most {MAX_ERRORS}.")
    errors_total: int = Field(description="How many errors there are in all.")


@dataclass(slots=True)
class Report:
    """An import, counted while it runs."""

    dry_run: bool
    formats: list[str] = field(default_factory=list)
    chats: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ImportedChats.model_fields, 0))
    messages_found: int = 0
    messages_imported: int = 0
    errors: list[dict[str, str]] = field(default_factory=list)
    errors_total: int = 0

    def add_chat(self, outcome: str, messages: int = 0) -> None:
        """Counts a chat by its outcome, and the messages that were stored with it."""
        self.chats["found"] += 1
        self.chats[outcome] += 1
        self.messages_imported += messages

    def add_error(self, location: str, reason: str, *, is_chat: bool = True) -> None:
        """Adds an error, of a chat unless `is_chat` is false."""
        if is_chat:
            self.add_chat("failed")
        self.errors_total += 1
        if len(self.errors) < MAX_ERRORS:
            self.errors.append({"place": location[:500], "reason": reason[:500]})

    def as_json(self) -> dict[str, Any]:
        """The body of the response, an ImportOut."""
        return {
            "format": ",".join(dict.fromkeys(self.formats)),
            "dry_run": self.dry_run,
            "chats": self.chats,
            "messages": {"found": self.messages_found, "imported": self.messages_imported},
            "errors": self.errors,
            "errors_total": self.errors_total,
        }
