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


def held(texts):
    """A text that takes its place until the event is set, on a thread."""
    begun, let_go = threading.Event(), threading.Event()

    def hold(put):
        begun.set()
        assert let_go.wait(LONG_S)

    thread = threading.Thread(target=collected, args=(texts, hold))
    thread.start()
    assert begun.wait(LONG_S)
    return thread, let_go


def test_whoever_waits_and_is_slow_to_say_whether_holds_up_nobody():
    texts = Texts(1)
    holding, let_go = held(texts)
    asked, answer = threading.Event(), threading.Event()
    ends = []

    def slow(piece):
        asked.set()
        assert answer.wait(LONG_S)
        return True

    def ask():
        with pytest.raises(UnavailableError):
            texts.make(lambda put: pytest.fail("there is no place for it"), slow)
        ends.append("slow")

    waiting = threading.Thread(target=ask)
    waiting.start()
    assert asked.wait(LONG_S)  # and it does not answer
    let_go.set()
    holding.join(LONG_S)
    closing = threading.Thread(target=texts.close)
    closing.start()
    closing.join(LONG_S)
    assert not closing.is_alive()
    answer.set()
    waiting.join(LONG_S)
    assert ends == ["slow"]


def test_a_place_that_is_free_beside_that_of_one_who_is_slow_is_taken():
    texts = Texts(2)
    threads, events = zip(held(texts), held(texts), strict=True)
    asked, answer = threading.Event(), threading.Event()

    def slow(piece):
        asked.set()
        assert answer.wait(LONG_S)
        return True

    waiting = threading.Thread(target=texts.make, args=(lambda put: put(END), slow))
    waiting.start()
    assert asked.wait(LONG_S)
    for each in (*events,):
        each.set()
    assert collected(texts, lambda put: put(END)) == [END]
    assert waiting.is_alive()
    answer.set()
    for thread in (*threads, waiting):
        thread.join(LONG_S)
        assert not thread.is_alive()


def test_closing_does_not_wait_for_ever_for_a_text_that_hears_nothing(monkeypatch):
    monkeypatch.setattr("sensorium.models.backends.gguf_texts.CLOSE_S", 0.1)
    texts = Texts(1)
    thread, let_go = held(texts)
    texts.close()
    assert thread.is_alive()
    let_go.set()
    thread.join(LONG_S)
    with pytest.raises(UnavailableError):
        collected(texts, lambda put: put(END))


def test_without_a_thread_its_place_is_free_again(monkeypatch):
    texts = Texts(1)

    def refused(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refused)
        for _ in range(2):
            with pytest.raises(UnavailableError, match="no thread"):
                collected(texts, lambda put: put(END))
    assert collected(texts, lambda put: put(END)) == [END]
