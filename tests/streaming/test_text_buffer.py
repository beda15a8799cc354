"""The text of an answer in memory: whatever is sent twice, late or by others, it is neither doubled nor torn."""

import pytest
from hypothesis import given, strategies

from app.streaming.text_buffer import KEPT_CHARACTERS, ChunkGap, ChunkMismatch, TextBuffer
from tests.profiles import examples


def test_it_grows_and_trims_what_it_has() -> None:
    buffer = TextBuffer(0)
    assert buffer.add(0, "one ") == 4
    assert buffer.add(4, "two ") == 4
    assert buffer.add(4, "two ") == 0
    assert buffer.add(2, "e two three") == 5
    assert (buffer.received, buffer.stored, buffer.unstored()) == (13, 0, "one two three")
    with pytest.raises(ChunkGap):
        buffer.add(14, "x")
    with pytest.raises(ChunkMismatch):
        buffer.add(4, "TWO")
    buffer.mark_stored(13)
    assert buffer.unstored() == ""
    with pytest.raises(ChunkMismatch):
        buffer.add(4, "TWO")
    assert buffer.add(13, "") == 0


def test_what_was_on_disk_before_is_trimmed_unseen() -> None:
    buffer = TextBuffer(10)
    assert buffer.add(4, "whatever!!") == 4
    assert buffer.unstored() == "er!!"[0:4]
    assert buffer.add(0, "x" * 10) == 0


def test_little_is_remembered_of_what_is_on_disk() -> None:
    buffer = TextBuffer(0)
    for start in range(0, 10 * KEPT_CHARACTERS, 100):
        buffer.add(start, "x" * 100)
        buffer.mark_stored(buffer.received)
    assert len(buffer._parts) <= KEPT_CHARACTERS // 100 + 1


def test_others_write_the_same() -> None:
    buffer = TextBuffer(0)
    buffer.add(0, "one two")
    assert buffer.reconcile("one ")
    assert (buffer.stored, buffer.received, buffer.unstored()) == (4, 7, "two")
    assert buffer.reconcile("two three")
    assert (buffer.stored, buffer.received, buffer.unstored()) == (13, 13, "")


def test_others_write_something_else() -> None:
    buffer = TextBuffer(0)
    buffer.add(0, "one two")
    assert not buffer.reconcile("one, ")
    assert (buffer.stored, buffer.received, buffer.unstored()) == (5, 5, "")


@examples(fast=50, all=800)
@given(
    text=strategies.text(min_size=1, max_size=60),
    chunks=strategies.lists(strategies.tuples(strategies.integers(0, 60), strategies.integers(0, 60)), max_size=40),
)
def test_any_chunks_of_a_text_give_its_beginning(text: str, chunks: list[tuple[int, int]]) -> None:
    buffer, disk = TextBuffer(0), ""
    for begin, end in chunks:
        try:
            buffer.add(begin, text[begin:end])
        except ChunkGap:
            assert begin > buffer.received
        assert disk + buffer.unstored() == text[: buffer.received]
        if (begin + end) % 3 == 0:
            disk += buffer.unstored()
            buffer.mark_stored(len(disk))
        elif (begin + end) % 3 == 1:
            # Another process is further.
            others = text[len(disk) : end]
            assert buffer.reconcile(others)
            disk += others
    assert disk + buffer.unstored() == text[: buffer.received]
