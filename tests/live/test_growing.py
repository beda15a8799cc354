"""The text of an answer in memory: whatever is sent twice, late or by others, it is neither doubled nor torn."""

import pytest
from hypothesis import given, strategies

from app.streaming.text_buffer import REMEMBERED, Ahead, Differs, Growing


def test_it_grows_and_trims_what_it_has() -> None:
    growing = Growing(0)
    assert growing.take(0, "one ") == 4
    assert growing.take(4, "two ") == 4
    assert growing.take(4, "two ") == 0
    assert growing.take(2, "e two three") == 5
    assert (growing.received, growing.stored, growing.waiting()) == (13, 0, "one two three")
    with pytest.raises(Ahead):
        growing.take(14, "x")
    with pytest.raises(Differs):
        growing.take(4, "TWO")
    growing.on_disk(13)
    assert growing.waiting() == ""
    with pytest.raises(Differs):
        growing.take(4, "TWO")
    assert growing.take(13, "") == 0


def test_what_was_on_disk_before_is_trimmed_unseen() -> None:
    growing = Growing(10)
    assert growing.take(4, "whatever!!") == 4
    assert growing.waiting() == "er!!"[0:4]
    assert growing.take(0, "x" * 10) == 0


def test_little_is_remembered_of_what_is_on_disk() -> None:
    growing = Growing(0)
    for start in range(0, 10 * REMEMBERED, 100):
        growing.take(start, "x" * 100)
        growing.on_disk(growing.received)
    assert len(growing._parts) <= REMEMBERED // 100 + 1


def test_others_write_the_same() -> None:
    growing = Growing(0)
    growing.take(0, "one two")
    assert growing.meet("one ")
    assert (growing.stored, growing.received, growing.waiting()) == (4, 7, "two")
    assert growing.meet("two three")
    assert (growing.stored, growing.received, growing.waiting()) == (13, 13, "")


def test_others_write_something_else() -> None:
    growing = Growing(0)
    growing.take(0, "one two")
    assert not growing.meet("one, ")
    assert (growing.stored, growing.received, growing.waiting()) == (5, 5, "")


@given(
    text=strategies.text(min_size=1, max_size=60),
    chunks=strategies.lists(strategies.tuples(strategies.integers(0, 60), strategies.integers(0, 60)), max_size=40),
)
def test_any_chunks_of_a_text_give_its_beginning(text: str, chunks: list[tuple[int, int]]) -> None:
    growing, disk = Growing(0), ""
    for begin, end in chunks:
        try:
            growing.take(begin, text[begin:end])
        except Ahead:
            assert begin > growing.received
        assert disk + growing.waiting() == text[: growing.received]
        if (begin + end) % 3 == 0:
            disk += growing.waiting()
            growing.on_disk(len(disk))
        elif (begin + end) % 3 == 1:
            # Another process is further.
            others = text[len(disk) : end]
            assert growing.meet(others)
            disk += others
    assert disk + growing.waiting() == text[: growing.received]
