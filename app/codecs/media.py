"""Images, recordings and files as what they have in common, for the codecs that have one kind of part for all."""

import string
from dataclasses import dataclass, replace
from typing import Any

from app.codecs.parts import Audio, File, Image

UNKNOWN = "application/octet-stream"

# A table of our own: what Python's `mimetypes` knows depends on its version and on the machine.
_BY_SUFFIX = {
    "aac": "audio/aac",
    "csv": "text/csv",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "flac": "audio/flac",
    "gif": "image/gif",
    "htm": "text/html",
    "html": "text/html",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "json": "application/json",
    "m4a": "audio/mp4",
    "md": "text/markdown",
    "mov": "video/quicktime",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "ogg": "audio/ogg",
    "pdf": "application/pdf",
    "png": "image/png",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "svg": "image/svg+xml",
    "txt": "text/plain",
    "wav": "audio/wav",
    "webm": "video/webm",
    "webp": "image/webp",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_FORMATS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "vnd.wave": "wav", "x-m4a": "m4a"}
_BY_FORMAT = {"mp3": "audio/mpeg", "m4a": "audio/mp4", "pcm16": "audio/pcm"}
_TO_STANDARD = str.maketrans("-_", "+/")
_TO_URL_SAFE = str.maketrans("+/", "-_")
_ALPHABET = (string.ascii_letters + string.digits + "+/").encode()
# What the last characters may be, by how many there are beyond fours: their last bits say nothing and are 0.
_ENDS: tuple[tuple[str, ...], ...] = (("",), (), tuple("AQgw"), tuple("AEIMQUYcgkosw048"))


@dataclass(frozen=True, slots=True)
class Media:
    """An image, a recording or a file.

    Attributes:
        type: its media type, `image/*` for an image of an unknown one and UNKNOWN for a file of an unknown one.
        data: its bytes as base64, in the alphabet with `+` and `/`; None where they are elsewhere.
        url: where it is.
        file_id: what an upload of it is called.
        filename: its name.
    """

    type: str
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    filename: str | None = None

    @property
    def link(self) -> str | None:
        """Where it is, in a `data:` URL if it is at hand; None for an upload."""
        return self.url if self.data is None else f"data:{self.type};base64,{self.data}"

    def part(self) -> dict[str, Any] | None:
        """The part of a message's content that says it, in Chat Completions' form; None where there is nothing."""
        main, _, sub = self.type.partition("/")
        if main == "image":
            return _image(self)
        if main == "audio" and self.data:
            kind = sub.partition(";")[0]
            return {"type": "input_audio", "input_audio": {"data": self.data, "format": _FORMATS.get(kind, kind)}}
        name = {"filename": self.filename} if self.filename else {}
        if self.file_id:
            return {"type": "file", "file": {"file_id": self.file_id} | name}
        if self.data:
            return {"type": "file", "file": {"file_data": self.link} | name}
        return {"type": "file", "file": {"file_url": self.url} | name} if self.url else None


def media(part: Image | Audio | File) -> Media:
    """What a part of a message holds."""
    match part:
        case Image(url=str(url)):
            return linked(url, default="image/*")
        case Image(file_id=file_id):
            return Media("image/*", file_id=file_id)
        case Audio(data, kind):
            return Media(_BY_FORMAT.get(kind, f"audio/{kind}"), data=standard(data) or data)
        case File(file_id, data, url, filename):
            guess = guessed(filename) or UNKNOWN
            if file_id:
                return Media(guess, file_id=file_id, filename=filename)
            if url:
                found = linked(url, filename=filename)
                # What was handed over as a file is not looked at as an image, whatever its URL ends on.
                return replace(found, type=UNKNOWN) if found.url and found.type.startswith("image/") else found
            held = linked(data or "", filename=filename)
            return held if held.data else Media(guess, data=standard(data or "") or data, filename=filename)


def linked(url: str, *, kind: str | None = None, filename: str | None = None, default: str = UNKNOWN) -> Media:
    """What is at a URL; a `data:` URL of base64 is taken apart. `kind` is its media type where somebody said it."""
    if url.startswith("data:"):
        head, comma, data = url[5:].partition(",")
        said, base64_, _ = head.partition(";base64")
        if comma and base64_ and (canonical := standard(data)):
            return Media(said or kind or default, data=canonical, filename=filename)
    return Media(kind or guessed(filename) or guessed(url) or default, url=url, filename=filename)


def held(data: str, kind: str, filename: str | None = None) -> Media:
    """What base64, of either alphabet, holds."""
    return Media(kind, data=standard(data) or data, filename=filename)


def standard(data: str) -> str | None:
    """Base64 in the alphabet with `+` and `/`, with padding; None if it is none, in either alphabet."""
    if not data.isascii():
        return None
    text = data.translate(_TO_STANDARD).rstrip("=")
    beyond = len(text) % 4
    # Looked at rather than decoded, which takes three times as long: pictures have millions of characters.
    if text.encode().translate(None, _ALPHABET) or not text.endswith(_ENDS[beyond]):
        return None
    return text + "=" * (-len(text) % 4)


def url_safe(data: str) -> str | None:
    """Base64 in the alphabet with `-` and `_`, as pydantic writes bytes; None if it is no base64."""
    canonical = standard(data)
    return None if canonical is None else canonical.translate(_TO_URL_SAFE)


def guessed(name: str | None) -> str | None:
    """The media type that a file's name or a URL ends on; None for an unknown one."""
    path = (name or "").partition("?")[0].partition("#")[0].rpartition("/")[2]
    return _BY_SUFFIX.get(path.rpartition(".")[2].lower()) if "." in path else None


def _image(image: Media) -> dict[str, Any] | None:
    if image.link:
        return {"type": "image_url", "image_url": {"url": image.link}}
    return {"type": "input_image", "file_id": image.file_id} if image.file_id else None
