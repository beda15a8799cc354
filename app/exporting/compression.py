"""Compressing an answer as its client asks for it (RFC 9110, 12.5.3): gzip and zstd."""

import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

if sys.version_info >= (3, 14):
    from compression import zstd as zstd
else:
    from backports import zstd as zstd

# So many bytes to a piece, so that a client sees something soon and no piece is large.
PIECE_BYTES = 256 * 1024
_GZIP_LEVEL, _ZSTD_LEVEL = 5, 3


class Encoder(Protocol):
    """Compresses one stream."""

    def piece(self, data: bytes) -> bytes:
        """What to send for more of it, so that all of that can be read."""
        ...

    def end(self) -> bytes:
        """What to send last. Without it the stream is broken."""
        ...


class Identity:
    """Nothing is compressed."""

    def piece(self, data: bytes) -> bytes:
        return data

    def end(self) -> bytes:
        return b""


class Gzip:
    """https://www.rfc-editor.org/rfc/rfc1952"""

    def __init__(self) -> None:
        self._compressor = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)

    def piece(self, data: bytes) -> bytes:
        return self._compressor.compress(data) + self._compressor.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._compressor.flush()


class Zstandard:
    """https://www.rfc-editor.org/rfc/rfc8878"""

    def __init__(self) -> None:
        self._compressor = zstd.ZstdCompressor(_ZSTD_LEVEL)

    def piece(self, data: bytes) -> bytes:
        return self._compressor.compress(data, zstd.ZstdCompressor.FLUSH_BLOCK)

    def end(self) -> bytes:
        return self._compressor.flush(zstd.ZstdCompressor.FLUSH_FRAME)


ENCODERS: dict[str, Callable[[], Encoder]] = {"identity": Identity, "zstd": Zstandard, "gzip": Gzip}


def chosen(accepted: str | None) -> str:
    """The coding that an Accept-Encoding header wants most; `identity` where it does not say.

    Of those wanted alike a compressed one, and zstd before gzip. One that refuses all gets `identity` all the same, as
    RFC 9110 allows.
    """
    wanted = dict(_qualities(accepted or ""))
    wanted.setdefault("gzip", wanted.get("x-gzip", wanted.get("*", 0.0)))
    wanted.setdefault("zstd", wanted.get("*", 0.0))
    # Accepted unless it is refused, but less than anything that is named.
    wanted.setdefault("identity", wanted.get("*", 0.001))
    best = max(("zstd", "gzip", "identity"), key=lambda coding: wanted[coding])
    return best if wanted[best] > 0 else "identity"


def _qualities(header: str) -> Iterator[tuple[str, float]]:
    for entry in header.split(","):
        coding, *parameters = (part.strip().lower() for part in entry.split(";"))
        quality = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip() == "q":
                quality = _quality(value.strip())
        if coding:
            yield coding, quality


def _quality(text: str) -> float:
    """A weight, as RFC 9110, 12.4.2 has it; what is none counts as a refusal."""
    whole, _, fraction = text.partition(".")
    digits = whole + fraction
    if whole in ("0", "1") and len(fraction) <= 3 and digits.isascii() and digits.isdigit():
        return min(float(text), 1.0)
    return 0.0


def encoded(parts: Iterator[bytes], coding: str) -> Iterator[bytes]:
    """A stream of parts of any size as pieces of about PIECE_BYTES, compressed."""
    encoder = ENCODERS[coding]()
    few: list[bytes] = []
    size = 0
    for part in parts:
        few.append(part)
        size += len(part)
        if size >= PIECE_BYTES:
            yield encoder.piece(b"".join(few))
            few, size = [], 0
    yield (encoder.piece(b"".join(few)) if few else b"") + encoder.end()
