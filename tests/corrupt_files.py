"""Corrupt files: cut, or with changed bytes."""

import random

from tests.fuzz import FRAGMENTS


def cut(file: bytes, index: int) -> bytes:
    """A file that ends before a byte."""
    return file[:index]


def flipped(file: bytes, index: int) -> bytes:
    """A file with one bit of a byte flipped."""
    return file[:index] + bytes([file[index] ^ (1 << (index % 8))]) + file[index + 1 :]


def fuzzed(source: random.Random, file: bytes) -> bytes:
    """A file with a few bytes or fragments flipped, cut, doubled, put in, or put elsewhere."""
    body = bytearray(file)
    for _ in range(source.randint(1, 5)):
        index = source.randrange(len(body) + 1)
        match source.randrange(7):
            case 0:
                body[index : index + 1] = bytes([source.randrange(256)])
            case 1:
                del body[index : index + source.randint(1, 30)]
            case 2:
                body[index:index] = body[index : index + source.randint(1, 300)]
            case 3:
                body[index:index] = source.choice(FRAGMENTS)[:200].encode()
            case 4:
                parts = body.split(b"\n")
                source.shuffle(parts)
                body = bytearray(b"\n".join(parts)) if source.random() < 0.2 else body
            case 5:
                words = body.split(b'"')
                target, origin = source.randrange(len(words)), source.randrange(len(words))
                words[target] = words[origin]
                body = bytearray(b'"'.join(words))
            case 6 if index < len(body):
                body[index] ^= 1 << source.randrange(8)
    return bytes(body)
