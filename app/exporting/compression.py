"""Compression of exports: content coding negotiated by Accept-Encoding (RFC 9110, 12.5.3), gzip and zstd streams."""

import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

if sys.version_info >= (3, 14):
    from compression import zstd as zstd
else:
    from backports import zstd as zstd

# Large enough to compress well, small enough that a client sees something soon.
CHUNK_BYTES = 256 * 1024
_GZIP_LEVEL, _ZSTD_LEVEL = 5, 3


class Compressor(Protocol):
    """Compresses one stream."""

    def compress(self, data: bytes) -> bytes:
        """The next bytes to send, flushed: all of `data` can be read from them."""

    def finish(self) -> bytes:
        """The last bytes to send. Without them the stream is broken."""


class Identity:
    """No compression."""

    def compress(self, data: bytes) -> bytes:
        return data

    def finish(self) -> bytes:
        return b""


class Gzip:
    """https://www.rfc-editor.org/rfc/rfc1952"""

    def __init__(self) -> None:
        self._compressor = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)

    def compress(self, data: bytes) -> bytes:
        return self._compressor.compress(data) + self._compressor.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._compressor.flush()


class Zstd:
    """https://www.rfc-editor.org/rfc/rfc8878"""

    def __init__(self) -> None:
        self._compressor = zstd.ZstdCompressor(_ZSTD_LEVEL)

    def compress(self, data: bytes) -> bytes:
        return self._compressor.compress(data, zstd.ZstdCompressor.FLUSH_BLOCK)

    def finish(self) -> bytes:
        return self._compressor.flush(zstd.ZstdCompressor.FLUSH_FRAME)


COMPRESSORS: dict[str, Callable[[], Compressor]] = {"identity": Identity, "zstd": Zstd, "gzip": Gzip}


def negotiate_encoding(accept_encoding: str | None) -> str:
    """The content coding that an Accept-Encoding header prefers; `identity` where it does not say.

    Of equally preferred ones zstd before gzip before `identity`. A header that refuses all gets `identity` all the
    same, as RFC 9110 allows.
    """
    weights = dict(_weights(accept_encoding or ""))
    weights.setdefault("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    weights.setdefault("zstd", weights.get("*", 0.0))
    # Accepted unless it is refused, but less than anything that is named.
    weights.setdefault("identity", weights.get("*", 0.001))
    best = max(("zstd", "gzip", "identity"), key=lambda coding: weights[coding])
    return best if weights[best] > 0 else "identity"


def _weights(header: str) -> Iterator[tuple[str, float]]:
    for entry in header.split(","):
        coding, *parameters = (part.strip().lower() for part in entry.split(";"))
        weight = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip() == "q":
                weight = _weight(value.strip())
        if coding:
            yield coding, weight


def _weight(text: str) -> float:
    """A weight, as RFC 9110, 12.4.2 defines it; a malformed one counts as a refusal."""
    whole, _, fraction = text.partition(".")
    digits = whole + fraction
    if whole in ("0", "1") and len(fraction) <= 3 and digits.isascii() and digits.isdigit():
        return min(float(text), 1.0)
    return 0.0


def compress(parts: Iterator[bytes], coding: str) -> Iterator[bytes]:
    """A stream of parts of any size, compressed, in chunks of about CHUNK_BYTES before compression."""
    compressor = COMPRESSORS[coding]()
    pending: list[bytes] = []
    size = 0
    for part in parts:
        pending.append(part)
        size += len(part)
        if size >= CHUNK_BYTES:
            yield compressor.compress(b"".join(pending))
            pending, size = [], 0
    yield (compressor.compress(b"".join(pending)) if pending else b"") + compressor.finish()
