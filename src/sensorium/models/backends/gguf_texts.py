"""Texts under way in llama.cpp, each on a thread of its own: a caller may leave at any moment.

The engine asks whether a text is still wanted after each batch, and batches of a long prompt may
take seconds; while it renders a conversation it does not ask at all. Whoever leaves does not wait
for that: the thread ends the text by itself, and its place is taken until then.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

from sensorium.core.errors import UnavailableError
from sensorium.core.generation import Piece

Emit = Callable[[Piece], bool]
ASKING = Piece()
"""Only asks whether the text is still wanted."""
ASK_S = 0.05
"""How often that is asked while nothing comes."""
CLOSE_S = 10.0
"""How long closing waits for texts that were told to end."""
LONGEST_WAIT_S = 0.02
PATIENCE = 10
"""A piece waits for the next ones for at most 1/10 of the text's age, and no longer than the
above. A small model makes thousands of tokens in a second, and each piece on its own would cost
as much as the token; where tokens are slow, none waits. The last one never does."""


class Texts:
    """As many texts as the engine makes at once; more wait here, where they can be given up."""

    def __init__(self, parallel: int) -> None:
        self._free = parallel
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()
        self._under_way: set[_Text] = set()
        self._closed = False

    def make(self, work: Callable[[Emit], None], emit: Emit) -> None:
        """Run `work` on a thread of its own, and hand out its pieces on this one.

        Returns soon after `emit` returned False; `work` hears of it from its own `emit`.

        Raises:
            UnavailableError: it is closed, or the machine has no thread left.
            Exception: what `work` raised.
        """
        text = _Text()
        if not self._enter(text, emit):
            return
        try:
            threading.Thread(target=self._run, args=(text, work), daemon=True).start()
        except RuntimeError:
            self._leave(text)
            raise UnavailableError("the machine has no thread left; try again") from None
        text.hand_out(emit)

    def close(self) -> None:
        """End every text, and wait until they are ended: the length of a batch.

        One that does not hear of it, as its conversation is being rendered, is waited for no
        longer than `CLOSE_S`; what it works with is its own until it ends.
        """
        with self._changed:
            self._closed = True
            for text in self._under_way:
                text.unwanted = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._under_way, CLOSE_S)

    def _enter(self, text: "_Text", emit: Emit) -> bool:
        """Wait for a place, first come, first served; False: it is not wanted any more."""
        with self._changed:
            self._waiting.append(text)
        try:
            while not self._is_in(text):
                if not emit(ASKING):  # which may take its time: nobody else waits for it
                    return False
            return True
        finally:
            with self._changed:
                if text in self._waiting:
                    self._waiting.remove(text)
                    self._changed.notify_all()

    def _is_in(self, text: "_Text") -> bool:
        """Whether a text has its place, after a wait for one.

        Raises:
            UnavailableError: it is closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._is_next(text), ASK_S)
            if self._closed:
                raise UnavailableError("the model is closed")
            if not self._is_next(text):
                return False
            self._waiting.remove(text)
            self._free -= 1
            self._under_way.add(text)
            self._changed.notify_all()
            return True

    def _is_next(self, text: "_Text") -> bool:
        return self._waiting.index(text) < self._free

    def _run(self, text: "_Text", work: Callable[[Emit], None]) -> None:
        problem: Exception | None = None
        try:
            work(text.put)
        except Exception as error:  # raised again on the caller's thread
            problem = error
        self._leave(text)
        text.end(problem)

    def _leave(self, text: "_Text") -> None:
        with self._changed:
            self._free += 1
            self._under_way.remove(text)
            self._changed.notify_all()


class _Text:
    """What was made of a text and not yet handed out."""

    def __init__(self) -> None:
        self.unwanted = False
        self._changed = threading.Condition()
        self._made: list[Piece] = []
        self._ended = threading.Event()
        self._problem: Exception | None = None

    def put(self, piece: Piece) -> bool:
        """Take a piece; says whether more is wanted."""
        if piece != ASKING:
            with self._changed:
                self._made.append(piece)
                self._changed.notify()
        return not self.unwanted

    def end(self, problem: Exception | None) -> None:
        """No more pieces come."""
        with self._changed:
            self._problem = problem
            self._ended.set()
            self._changed.notify()

    def hand_out(self, emit: Emit) -> None:
        """Hand out the pieces until there are no more, or nobody wants them.

        Raises:
            Exception: what went wrong.
        """
        try:
            self._hand_out(emit)
        finally:
            self.unwanted = True

    def _hand_out(self, emit: Emit) -> None:
        began = 0.0
        over = False
        while not over:
            pieces, over = self._take()
            for piece in _joined(pieces) if pieces or over else (ASKING,):
                if not emit(piece):
                    return
            now = time.perf_counter()
            if pieces and not over:
                began = began or now
                self._ended.wait(min(LONGEST_WAIT_S, (now - began) / PATIENCE))
        if self._problem is not None:
            raise self._problem

    def _take(self) -> tuple[list[Piece], bool]:
        """What was made since the last time, perhaps nothing; and whether that was all."""
        with self._changed:
            if not (self._made or self._ended.is_set()):
                self._changed.wait(ASK_S)
            made, self._made = self._made, []
            return made, self._ended.is_set()


def _joined(pieces: list[Piece]) -> Iterator[Piece]:
    """The same with fewer pieces: plain ones that follow each other are one."""
    plain: list[Piece] = []
    for piece in pieces:
        if piece == Piece(text=piece.text, tokens=piece.tokens, steps=piece.steps):
            plain.append(piece)
            continue
        yield from _as_one(plain)
        plain = []
        yield piece
    yield from _as_one(plain)


def _as_one(plain: list[Piece]) -> list[Piece]:
    if len(plain) < 2:
        return plain
    return [
        Piece(
            text="".join(each.text for each in plain),
            tokens=[token for each in plain for token in each.tokens],
            steps=[step for each in plain for step in each.steps],
        )
    ]
