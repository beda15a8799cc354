"""Media: images, recordings and files as one class, for codecs that have one kind of part for all of them."""

import string
from dataclasses import dataclass, replace
from typing import Self

from app.codecs.parts import Audio, File, Image
from app.codecs.values import Json

UNKNOWN_TYPE = "application/octet-stream"

# Not Python's `mimetypes`: what that knows depends on its version and on the machine.
_TYPES_BY_SUFFIX = {
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
_FORMATS_BY_SUBTYPE = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "vnd.wave": "wav", "x-m4a": "m4a"}
_TYPES_BY_FORMAT = {"mp3": "audio/mpeg", "m4a": "audio/mp4", "pcm16": "audio/pcm"}
_TO_STANDARD = str.maketrans("-_", "+/")
_TO_URL_SAFE = str.maketrans("+/", "-_")
_ALPHABET = (string.ascii_letters + string.digits + "+/").encode()
# What base64 may end on, by how many characters there are beyond fours: the unused bits of the last one are 0.
_ENDS: tuple[tuple[str, ...], ...] = (("",), (), tuple("AQgw"), tuple("AEIMQUYcgkosw048"))


@dataclass(frozen=True, slots=True)
class Media:
    """An image, a recording or a file.

    Attributes:
        type: its media type, `image/*` for an image of an unknown one and UNKNOWN_TYPE for a file of an unknown one.
        data: its bytes as base64, in the alphabet with `+` and `/`; None where they are elsewhere.
        url: where it is.
        file_id: the id of an upload of it.
        filename: its name.
    """

    type: str
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    filename: str | None = None

    @classmethod
    def from_part(cls, part: Image | Audio | File) -> Self:
        """The media of a part of a message."""
        match part:
            case Image(url=str(url)):
                return cls.from_url(url, default="image/*")
            case Image(file_id=file_id):
                return cls("image/*", file_id=file_id)
            case Audio(data, kind):
                return cls.from_base64(data, _TYPES_BY_FORMAT.get(kind, f"audio/{kind}"))
            case File(file_id, data, url, filename):
                guess = guess_media_type(filename) or UNKNOWN_TYPE
                if file_id:
                    return cls(guess, file_id=file_id, filename=filename)
                if url:
                    file = cls.from_url(url, filename=filename)
                    # What was given as a file is not shown as an image, whatever its URL ends on.
                    return replace(file, type=UNKNOWN_TYPE) if file.url and file.type.startswith("image/") else file
                file = cls.from_url(data or "", filename=filename)
                return file if file.data else cls.from_base64(data or "", guess, filename)

    @classmethod
    def from_url(
        cls, url: str, *, kind: str | None = None, filename: str | None = None, default: str = UNKNOWN_TYPE
    ) -> Self:
        """The media at a URL; a `data:` URL of base64 is decoded. `kind` is the media type where it is known."""
        if url.startswith("data:"):
            head, comma, data = url[5:].partition(",")
            stated_type, is_base64, _ = head.partition(";base64")
            if comma and is_base64 and (canonical := standard_base64(data)):
                return cls(stated_type or kind or default, data=canonical, filename=filename)
        return cls(kind or guess_media_type(filename) or guess_media_type(url) or default, url=url, filename=filename)

    @classmethod
    def from_base64(cls, data: str, kind: str, filename: str | None = None) -> Self:
        """The media in base64 of either alphabet; what is no base64 is kept as it is."""
        return cls(kind, data=standard_base64(data) or data, filename=filename)

    @property
    def any_url(self) -> str | None:
        """Its URL, a `data:` one if its bytes are here; None for an upload."""
        return self.url if self.data is None else f"data:{self.type};base64,{self.data}"

    def to_part(self) -> Json | None:
        """Its part of a message's content, in the form of Chat Completions; None where there is nothing."""
        main, _, sub = self.type.partition("/")
        if main == "image":
            if self.any_url:
                return {"type": "image_url", "image_url": {"url": self.any_url}}
            return {"type": "input_image", "file_id": self.file_id} if self.file_id else None
        if main == "audio" and self.data:
            subtype = sub.partition(";")[0]
            audio = {"data": self.data, "format": _FORMATS_BY_SUBTYPE.get(subtype, subtype)}
            return {"type": "input_audio", "input_audio": audio}
        name = {"filename": self.filename} if self.filename else {}
        if self.file_id:
            return {"type": "file", "file": {"file_id": self.file_id} | name}
        if self.data:
            return {"type": "file", "file": {"file_data": self.any_url} | name}
        return {"type": "file", "file": {"file_url": self.url} | name} if self.url else None


def standard_base64(data: str) -> str | None:
    """Base64 of either alphabet in the one with `+` and `/`, padded; None for what is no base64."""
    if not data.isascii():
        return None
    text = data.translate(_TO_STANDARD).rstrip("=")
    beyond = len(text) % 4
    # Checked without decoding, which takes three times as long: pictures have millions of characters.
    if text.encode().translate(None, _ALPHABET) or not text.endswith(_ENDS[beyond]):
        return None
    return text + "=" * (-len(text) % 4)


def url_safe_base64(data: str) -> str | None:
    """Base64 in the alphabet with `-` and `_`, as pydantic writes bytes; None for what is no base64."""
    canonical = standard_base64(data)
    return None if canonical is None else canonical.translate(_TO_URL_SAFE)


def guess_media_type(name: str | None) -> str | None:
    """The media type by the suffix of a file name or URL; None for an unknown one."""
    path = (name or "").partition("?")[0].partition("#")[0].rpartition("/")[2]
    return _TYPES_BY_SUFFIX.get(path.rpartition(".")[2].lower()) if "." in path else None
