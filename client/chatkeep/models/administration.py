"""API keys, imports, and whether the service is well."""

from pydantic import AwareDatetime, Field

from chatkeep.models.model import Model


class ApiKey(Model):
    """An API key without its secret: of one user, or a service key where `user_id` is None."""

    key_id: str
    name: str
    user_id: str | None
    scopes: list[str]
    hint: str
    created_at: AwareDatetime
    expires_at: AwareDatetime | None
    revoked_at: AwareDatetime | None


class ApiKeyMade(ApiKey):
    """A new API key. `key` is its secret, which is never shown again."""

    key: str = Field(repr=False)


class ImportedChats(Model):
    """Counts of the chats of an import: how many the files have, and how each was handled."""

    found: int
    imported: int
    skipped: int
    replaced: int
    copied: int
    failed: int


class ImportedMessages(Model):
    """Counts of the messages of an import: how many the files have, and how many were stored."""

    found: int
    imported: int


class ImportProblem(Model):
    """A chat that was left out: where it stands and why."""

    place: str
    reason: str


class ImportResult(Model):
    """The result of an import. `errors` are the first ones of `errors_total`."""

    format: str
    dry_run: bool
    chats: ImportedChats
    messages: ImportedMessages
    errors: list[ImportProblem]
    errors_total: int


class Health(Model):
    """`status` is `ok` where it runs, `ready` where it can reach its database."""

    status: str
