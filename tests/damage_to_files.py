"""Files that were cut, or had bytes changed, on their way."""

import random

from tests.fuzz import FRAGMENTS


def cut(file: bytes, at: int) -> bytes:
    """A file that ends before a byte."""
    return file[:at]


def flipped(file: bytes, at: int) -> bytes:
    """A file with a bit of a byte turned round."""
    return file[:at] + bytes([file[at] ^ (1 << (at % 8))]) + file[at + 1 :]


def fuzzed(source: random.Random, file: bytes) -> bytes:
    """A file with a few bytes or fragments flipped, cut, doubled, put in, or put elsewhere."""
    body = bytearray(file)
    for _ in range(source.randint(1, 5)):
        at = source.randrange(len(body) + 1)
        match source.randrange(7):
            case 0:
                body[at : at + 1] = bytes([source.randrange(256)])
            case 1:
                del body[at : at + source.randint(1, 30)]
            case 2:
                body[at:at] = body[at : at + source.randint(1, 300)]
            case 3:
                body[at:at] = source.choice(FRAGMENTS)[:200].encode()
            case 4:
                parts = body.split(b"\n")
                source.shuffle(parts)
                body = bytearray(b"\n".join(parts)) if source.random() < 0.2 else body
            case 5:
                words = body.split(b'"')
                one, other = source.randrange(len(words)), source.randrange(len(words))
                words[one] = words[other]
                body = bytearray(b'"'.join(words))
            case 6 if at < len(body):
                body[at] ^= 1 << source.randrange(8)
    return bytes(body)
