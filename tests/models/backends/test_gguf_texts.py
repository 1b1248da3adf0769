"""Texts on threads of their own: handed out, given up, in turn."""

import threading

import pytest

from sensorium.core.errors import InvalidInputError, UnavailableError
from sensorium.core.generation import Piece
from sensorium.models.backends.gguf_texts import ASKING, Texts

LONG_S = 20
END = Piece(finish="stop", generated_tokens=1)


def collected(texts, work):
    pieces = []

    def emit(piece):
        if piece != ASKING:
            pieces.append(piece)
        return True

    texts.make(work, emit)
    return pieces


def test_the_first_piece_does_not_wait_for_the_next():
    texts, heard = Texts(1), threading.Event()

    def work(put):
        put(Piece(text="a"))
        assert heard.wait(LONG_S)
        put(END)

    def emit(piece):
        if piece.text:
            heard.set()
        return True

    texts.make(work, emit)


def test_pieces_that_come_fast_are_joined_and_nothing_is_lost():
    def work(put):
        for number in range(1000):
            assert put(Piece(text=f"{number} ", tokens=[number]))
        put(END)

    *pieces, last = collected(Texts(1), work)
    assert "".join(each.text for each in pieces) == "".join(f"{n} " for n in range(1000))
    assert [token for each in pieces for token in each.tokens] == list(range(1000))
    assert len(pieces) < 1000
    assert last == END


def test_whoever_leaves_does_not_wait_and_the_place_is_taken_until_the_work_ends():
    texts, reading, read = Texts(1), threading.Event(), threading.Event()
    wanted = []

    def long_work(put):
        reading.set()
        assert read.wait(LONG_S)
        wanted.append(put(ASKING))

    texts.make(long_work, lambda _: not reading.is_set())  # comes back while the work goes on
    assert not wanted
    asked = []

    def leave(piece):
        asked.append(piece)
        return len(asked) < 3

    texts.make(lambda put: pytest.fail("there is no place for it"), leave)
    assert asked == [ASKING] * 3
    read.set()
    assert collected(texts, lambda put: put(END)) == [END]
    assert wanted == [False]


def test_those_who_wait_have_their_turns_in_order():
    texts, first, order = Texts(1), threading.Event(), []
    begun = threading.Event()

    def hold(put):
        begun.set()
        assert first.wait(LONG_S)

    threads = [threading.Thread(target=collected, args=(texts, hold))]
    threads[0].start()
    assert begun.wait(LONG_S)
    for number in range(8):
        queued = threading.Event()

        def emit(piece, queued=queued):
            queued.set()
            return True

        work = lambda put, number=number: order.append(number)  # noqa: E731
        threads.append(threading.Thread(target=texts.make, args=(work, emit)))
        threads[-1].start()
        assert queued.wait(LONG_S)
    first.set()
    for thread in threads:
        thread.join(LONG_S)
    assert order == list(range(8))


def test_what_goes_wrong_is_raised_where_it_was_asked_for():
    texts = Texts(1)

    def work(put):
        raise InvalidInputError("no such thing")

    for _ in range(2):  # and the place is free again
        with pytest.raises(InvalidInputError, match="no such thing"):
            collected(texts, work)


def test_closing_ends_the_texts_and_those_that_wait():
    texts, begun = Texts(1), threading.Event()
    found = []

    def endless(put):
        begun.set()
        while put(Piece(text="a")):
            pass

    def ask(work):
        try:
            found.append(collected(texts, work))
        except UnavailableError as error:
            found.append(error)

    threads = [threading.Thread(target=ask, args=(endless,)) for _ in range(2)]
    threads[0].start()
    assert begun.wait(LONG_S)
    threads[1].start()
    texts.close()
    for thread in threads:
        thread.join(LONG_S)
    assert any(isinstance(each, UnavailableError) for each in found)
    with pytest.raises(UnavailableError):
        collected(texts, endless)
