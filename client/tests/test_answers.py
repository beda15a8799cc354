"""`client.answers`: written, read, cut and resumed."""

import threading
from collections.abc import Iterator

import pytest

from chatkeep import Chatkeep, Conflict, ConnectionFailed
from tests.blocking import open_client
from tests.conftest import Service
from tests.proxy import Fault, Proxy

TEXT = "Acht Minuten 🥚 in kochendem Wasser: 八分钟。\n"


def test_an_answer_is_written_completed_and_read(client: Chatkeep) -> None:
    client.messages.append("key:c", {"role": "user", "content": "How do I boil an egg?"})
    with client.answers.open("key:c", {"content": "So: ", "model": "gpt-5"}) as answer:
        assert answer.message.status == "in_progress"
        for word in TEXT.split(" "):
            answer.write(word + " ")
        done = answer.complete(output_tokens=9)
    assert (done.status, done.content, done.model, done.output_tokens) == ("completed", f"So: {TEXT} ", "gpt-5", 9)
    assert answer.message == done

    with client.answers.stream("key:c", done.seq) as reader:
        assert "".join(reader) == done.content
    assert (reader.ended, reader.message, reader.offset) == ("done", done, len(TEXT) + 5)
    assert "".join(client.answers.stream("key:c", done.message_id, offset=4)) == f"{TEXT} "


def test_the_end_of_the_with_completes_it_and_an_exception_gives_it_up(client: Chatkeep) -> None:
    with client.answers.open("key:c") as answer:
        answer.write("Eight")
    assert answer.message.status == "completed"
    with pytest.raises(ZeroDivisionError), client.answers.open("key:c") as answer:  # noqa: PT012 - what the end does
        answer.write("Or you")
        raise ZeroDivisionError
    assert (answer.message.status, answer.message.content) == ("failed", "Or you")
    with client.answers.open("key:c") as answer:
        answer.fail(content="The provider hung up.", metadata={"error": 1})
    assert client.messages.get("key:c", 3).content == "The provider hung up."


def test_many_texts_in_one_request(client: Chatkeep) -> None:
    def texts() -> Iterator[str]:
        yield "x" * 200_000
        yield from TEXT
        yield ""

    with client.answers.open("key:c") as answer:
        answer.write("Begun. ")
        answer.write_from(texts())
        answer.write(" Ended.")
    assert answer.message.content == f"Begun. {'x' * 200_000}{TEXT} Ended."


def test_an_error_of_the_texts_is_raised_as_it_is(client: Chatkeep) -> None:
    def texts() -> Iterator[str]:
        yield "Eight "
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), client.answers.open("key:c") as answer:
        answer.write_from(texts())
    assert (answer.message.status, answer.message.content) == ("failed", "Eight ")


def test_an_answer_that_somebody_else_ended(client: Chatkeep) -> None:
    with pytest.raises(Conflict), client.answers.open("key:c") as answer:  # noqa: PT012 - the end of the with is tested
        answer.write("Eight ")
        client.answers.complete("key:c", answer.message.message_id, offset=6)
        answer.write("minutes.")
    assert client.messages.get("key:c", 1).content == "Eight "


def test_the_calls_by_themselves(client: Chatkeep) -> None:
    open_client = client.messages.append("key:c", {"role": "assistant", "status": "in_progress"})
    assert client.answers.chunk("key:c", open_client.seq, 0, TEXT).received == len(TEXT)
    assert client.answers.chunk("key:c", open_client.seq, 0, TEXT).received == len(TEXT)
    with pytest.raises(Conflict) as missing:
        client.answers.chunk("key:c", open_client.seq, 1000, "more")
    assert missing.value.problem["received"] == len(TEXT)
    assert client.answers.fail("key:c", open_client.seq, tokens=5).tokens == 5


def test_a_deleted_answer_ends_its_reader(client: Chatkeep) -> None:
    message = client.messages.append("key:c", {"role": "assistant", "status": "in_progress", "content": "Eight "})
    with client.answers.stream("key:c", message.seq) as reader:
        assert next(reader) == "Eight "
        client.messages.delete("key:c", message.seq)
        assert list(reader) == []
    assert (reader.ended, reader.message) == ("deleted", None)


@pytest.mark.usefixtures("quick")
def test_chunks_whose_answer_is_lost_are_there_once(proxy: Proxy, user: str) -> None:
    with proxy.client(user) as client, client.answers.open("key:c") as answer:
        for number, fault in enumerate(
            (Fault(lost=True), Fault(refused=True), Fault(says=(503, {"Retry-After": "0"})))
        ):
            proxy.faults.append(fault)
            answer.write(f"{number} ")
        proxy.faults.append(Fault(lost=True))
    assert answer.message.content == "0 1 2 "
    assert len(proxy.paths()) == 1 + 2 * 3 + 2


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("cut", [0, 1, 150, 3000])
def test_many_texts_go_on_where_the_connection_was_cut(proxy: Proxy, user: str, cut: int) -> None:
    words = [f"{number}🥚 " for number in range(1000)]
    with proxy.client(user, max_retries=4) as client, client.answers.open("key:c") as answer:
        # More than once with progress in between, and once after all of it was sent.
        proxy.faults += [Fault(body_bytes=cut), Fault(), Fault(body_bytes=cut), Fault(), Fault(lost=True)]
        answer.write_from(word for word in words)
    assert answer.message.content == "".join(words)


@pytest.mark.usefixtures("quick")
def test_a_service_that_stays_away_is_told(proxy: Proxy, user: str) -> None:
    with proxy.client(user, max_retries=1) as client:
        with pytest.raises(ConnectionFailed), client.answers.open("key:c") as answer:  # noqa: PT012
            proxy.faults += [Fault(refused=True)] * 20
            answer.write_from(word for word in "abc")
        with pytest.raises(ConnectionFailed):
            answer.write("d")


@pytest.mark.usefixtures("quick")
def test_a_reader_that_is_cut_misses_nothing_and_reads_nothing_twice(proxy: Proxy, user: str, service: Service) -> None:
    words = [f"{number}🥚 " for number in range(300)]
    with open_client("sync", service.url, service.key, user) as writing, proxy.client(user) as client:
        with writing.answers.open("key:c") as answer:
            answer.write(words[0])
            opening = threading.Thread(target=answer.write_from, args=(words[1:],))
            # Cut in the head, in the middle of events, refused, and at last let through.
            proxy.faults += [Fault(answer_bytes=size) for size in (400, 600, 1000)]
            proxy.faults += [Fault(refused=True), Fault(says=(503, {"Retry-After": "0"})), Fault(answer_bytes=700)]
            reader = client.answers.stream("key:c", answer.message.seq)
            read = [next(reader)]
            opening.start()
            opening.join()
        with reader:
            read += reader
    assert "".join(read) == "".join(words)
    assert reader.message == answer.message
    assert len(proxy.seen) == 7
