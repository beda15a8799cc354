"""What a download is called: a Content-Disposition that every client reads alike (RFC 6266, RFC 8187)."""

import re
import unicodedata
from urllib.parse import quote

_LONGEST = 100  # characters
# What a file cannot be called somewhere, and what would not be seen in its name, such as marks that turn the text.
_NOT_IN_A_NAME = re.compile(
    r'[\\/:*?"<>|;%\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]+'
)
_NOT_ASCII = re.compile(r"[^A-Za-z0-9._-]+")
# A device of Windows, whatever comes after its dot.
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


def attachment(name: str | None, otherwise: str, extension: str) -> str:
    """The header for a file named after something, or `otherwise` where nothing is left of that; in ASCII."""
    stem = _stem(name or "") or otherwise
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    plain = _NOT_ASCII.sub("-", plain).strip("-._")
    if not plain or _DEVICE.match(plain):
        plain = otherwise
    header = f'attachment; filename="{plain}.{extension}"'
    if plain == stem:
        return header
    return f"{header}; filename*=UTF-8''{quote(f'{stem}.{extension}', safe='')}"


def _stem(name: str) -> str:
    stem = _NOT_IN_A_NAME.sub(" ", unicodedata.normalize("NFC", name))
    stem = " ".join(stem.split())[:_LONGEST].strip(" .")
    return "" if _DEVICE.match(stem) else stem
