"""The wire's frames, however the bytes arrive."""

from hypothesis import given
from hypothesis import strategies as st

from sensorium.workers.frames import Frame, Parser, pack

FRAMES = st.lists(
    st.tuples(st.sampled_from(list(Frame)), st.integers(0, 2**32 - 1), st.binary(max_size=300)),
    max_size=20,
)


@given(FRAMES, st.lists(st.integers(1, 400), min_size=1))
def test_frames_come_back_whatever_pieces_they_arrive_in(
    frames: list[tuple[Frame, int, bytes]], sizes: list[int]
) -> None:
    wire = b"".join(pack(*frame) for frame in frames)
    parser = Parser()
    found: list[tuple[int, int, bytes]] = []
    while wire:
        size = sizes[len(wire) % len(sizes)]
        found += parser.feed(wire[:size])
        wire = wire[size:]
    assert found == [tuple(frame) for frame in frames]


def test_nothing_is_kept_of_frames_that_were_read() -> None:
    parser = Parser()
    for _ in range(3):
        assert len(list(parser.feed(pack(Frame.ANSWER, 1, b"x" * 1_000_000)))) == 1
    assert len(parser._buffer) == 0
