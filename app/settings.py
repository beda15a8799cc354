"""Every setting of the service: read once, from the environment or `.env`, with the prefix `CHATKEEP_`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

ASYMMETRIC_ALGORITHMS = frozenset("RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519".split())

CommaSeparated = Annotated[tuple[str, ...], NoDecode]


class Settings(BaseSettings):
    """The settings. A field `name` is the environment variable `CHATKEEP_NAME`."""

    model_config = SettingsConfigDict(
        env_prefix="CHATKEEP_", env_file=".env", env_ignore_empty=True, extra="ignore", populate_by_name=True
    )

    database_url: str = Field(
        default="",
        validation_alias=AliasChoices("CHATKEEP_DATABASE_URL", "DATABASE_URL"),
        description="Where the chats are kept: `postgres://…`, `postgresql://…` or `sqlite:///path`. "
        "Without one, the file `chatkeep.db` in the data folder. The bare `DATABASE_URL` is taken too.",
    )
    data_dir: Path = Field(default=Path("data"), description="The folder for the SQLite file; made if missing.")
    database_pool_size: int = Field(
        default=10, ge=2, le=500, description="Postgres connections a process keeps at most, for each of its two pools."
    )
    pgbouncer: bool = Field(
        default=False, description="Set when Postgres is reached through pgbouncer's transaction pooling."
    )

    citus: bool = Field(
        default=False,
        description="Set when the database is a Citus cluster: the tables are distributed by user over its machines.",
    )

    host: str = Field(default="127.0.0.1", description="The address to listen on.")
    port: int = Field(default=8000, ge=0, le=65535, description="The port to listen on.")
    workers: int = Field(default=1, ge=1, le=64, description="How many processes serve.")

    admin_key: SecretStr | None = Field(
        default=None,
        description="A service key with every scope, given rather than made: at least 16 characters. "
        "Without one, and with no other way to sign in, the first start makes one and prints it.",
    )
    jwks_url: str = Field(default="", description="Where the identity provider publishes its public keys (JWKS).")
    jwt_issuer: str = Field(default="", description="The `iss` a token must carry; unchecked when empty.")
    jwt_audience: CommaSeparated = Field(
        default=(), description="The `aud` values taken, separated by commas; unchecked when empty."
    )
    jwt_secret: SecretStr | None = Field(
        default=None,
        description="A shared secret for HS256 tokens, for development: at least 32 bytes (RFC 7518, 3.2).",
    )
    jwt_algorithms: CommaSeparated = Field(
        default=("RS256", "ES256"),
        description="The algorithms taken from the identity provider, separated by commas. "
        "With `CHATKEEP_JWT_SECRET` set, HS256 is taken as well, for that secret only.",
    )
    jwt_user_claim: str = Field(default="sub", min_length=1, description="The claim that names the user.")
    jwt_scope_claim: str = Field(
        default="scope",
        min_length=1,
        description="The claim that lists scopes. A token with none of Chatkeep's gets `chats:read` and `chats:write`.",
    )

    cors_origins: CommaSeparated = Field(
        default=(), description="Web origins that may call from a browser, separated by commas; `*` for any."
    )
    max_body_bytes: int = Field(
        default=10 * 1024 * 1024, ge=1024, description="The largest request body taken, in bytes; more is a 413."
    )
    max_import_bytes: int = Field(
        default=2 * 1024**3,
        ge=1024,
        description="The largest import taken, in bytes, and the most that an archive may inflate to; more is a 413.",
    )
    write_queue_size: int = Field(
        default=1024, ge=1, description="Appends that may wait for the writer of a process; past it, 503."
    )
    history_cache_bytes: int = Field(
        default=64 * 1024 * 1024, ge=0, description="Memory for pages of history that were read, in bytes; 0 for none."
    )
    changes_kept_days: int = Field(
        default=30, ge=1, le=36500, description="For how many days the feed of changes reaches back."
    )
    search: bool = Field(
        default=True, description="Whether messages are indexed and can be searched; turned on again, it catches up."
    )
    answer_timeout_seconds: float = Field(
        default=60,
        gt=0,
        le=86400,
        description="After so long without a word of its writer, an answer in progress is marked `incomplete`.",
    )
    answer_buffer_bytes: int = Field(
        default=64 * 1024 * 1024,
        ge=1024,
        description="Memory of a process for text of answers that is not on disk yet, in bytes; past it, 503.",
    )
    shutdown_seconds: int = Field(
        default=8, ge=1, le=600, description="How long requests under way may take to end after SIGTERM."
    )

    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="`json`, `console`, or `auto`: `console` on a terminal, else `json`."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least severe level logged. `info` has a line for every request."
    )

    @field_validator("jwt_audience", "jwt_algorithms", "cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("jwt_algorithms")
    @classmethod
    def _only_public_key_algorithms(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = ", ".join(sorted(set(value) - ASYMMETRIC_ALGORITHMS))
        if unknown:
            raise ValueError(f"not public-key algorithms: {unknown}; take from {sorted(ASYMMETRIC_ALGORITHMS)}")
        return value

    @model_validator(mode="after")
    def _strong_secrets(self) -> "Settings":
        if self.jwt_secret and len(self.jwt_secret.get_secret_value().encode()) < 32:
            raise ValueError("CHATKEEP_JWT_SECRET must have at least 32 bytes, such as one from: openssl rand -hex 32")
        if self.admin_key and len(self.admin_key.get_secret_value()) < 16:
            raise ValueError("CHATKEEP_ADMIN_KEY must have at least 16 characters, such as: openssl rand -hex 24")
        return self

    @property
    def effective_database_url(self) -> str:
        """The database's URL as the user gave it, or that of the default SQLite file."""
        return self.database_url or f"sqlite:///{self.data_dir / 'chatkeep.db'}"

    @property
    def signs_in_by_jwt(self) -> bool:
        """Whether callers can come with a JWT."""
        return bool(self.jwks_url or self.jwt_secret)
