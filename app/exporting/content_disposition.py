"""Content-Disposition of downloads, in a form that every client reads alike (RFC 6266, RFC 8187)."""

import re
import unicodedata
from urllib.parse import quote

_MAX_STEM_LENGTH = 100  # characters
# Characters that some system does not take in a file name, and invisible ones, such as marks of text direction.
_FORBIDDEN = re.compile(
    r'[\\/:*?"<>|;%\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]+'
)
_NOT_ASCII = re.compile(r"[^A-Za-z0-9._-]+")
# Device names of Windows, with any extension.
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


def attachment_header(name: str | None, default: str, extension: str) -> str:
    """The header, in ASCII, for a file named after `name`, or `default` where nothing of that can be in a file name."""
    stem = _stem(name or "") or default
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    plain = _NOT_ASCII.sub("-", plain).strip("-._")
    if not plain or _DEVICE.match(plain):
        plain = default
    header = f'attachment; filename="{plain}.{extension}"'
    if plain == stem:
        return header
    return f"{header}; filename*=UTF-8''{quote(f'{stem}.{extension}', safe='')}"


def _stem(name: str) -> str:
    stem = _FORBIDDEN.sub(" ", unicodedata.normalize("NFC", name))
    stem = " ".join(stem.split())[:_MAX_STEM_LENGTH].strip(" .")
    return "" if _DEVICE.match(stem) else stem
