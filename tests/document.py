"""The OpenAPI document as a list of what can be called, so that tests find new routes by themselves."""

from dataclasses import dataclass
from typing import Any

from app.main import create_app
from app.settings import Settings

# A chunk says where its text belongs, so that one sent again changes nothing; a key for each would cost more than it.
RETRIED_BY_OFFSET = "POST /chats/{chat}/messages/{message}/chunks"

# It takes an Idempotency-Key as every POST does: tests/messages/test_message_keys.py has its retries.
PUT_MESSAGE = "PUT /chats/{chat}/messages/{message}"

# Its body is files, not JSON: tests/importing has its retries.
TAKES_FILES = "POST /import"


@dataclass(frozen=True)
class Operation:
    """A method of a path, with an example of its body where it takes one."""

    method: str
    path: str
    entry: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def takes_body(self) -> bool:
        """Whether it takes a body of JSON. An import takes files, and has tests of its own."""
        return "application/json" in self.entry.get("requestBody", {}).get("content", {})

    @property
    def body(self) -> Any:
        """A body from the document's examples; None where it takes none."""
        if not self.takes_body:
            return None
        content = self.entry["requestBody"]["content"]["application/json"]
        return content["example"] if "example" in content else next(iter(content["examples"].values()))["value"]

    @property
    def streams_events(self) -> bool:
        """Whether its answer is a stream of events, which may have no end."""
        return "text/event-stream" in self.entry["responses"].get("200", {}).get("content", {})

    @property
    def is_openais(self) -> bool:
        """Whether it belongs to the API that is OpenAI's: its errors have another shape, and what is wrong is a 400."""
        return self.path.startswith("/v1/")

    def has(self, *parameters: str) -> bool:
        """Whether its path has one of these parameters."""
        return any(f"{{{name}}}" in self.path for name in parameters)

    def header(self, name: str) -> dict[str, Any] | None:
        """What the document says of a header of it."""
        parameters = self.entry.get("parameters", [])
        return next((p for p in parameters if p["in"] == "header" and p["name"].lower() == name.lower()), None)


# Made once: it takes a third of a second.
DOCUMENT: dict[str, Any] = create_app(Settings(database_url="sqlite:///unused.db")).openapi()
OPERATIONS = [
    Operation(method.upper(), path, entry) for path, item in DOCUMENT["paths"].items() for method, entry in item.items()
]
"""Everything in the document."""
