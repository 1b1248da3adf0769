"""Tokens spelled as text."""

import pytest

from sensorium.models.backends.spelling import Spelling


def shown(pieces, stops=(), pause=()):
    """What comes out after each piece of bytes, and at the end."""
    spelling = Spelling(
        lambda tokens: b"".join(pieces[t] for t in tokens).decode("utf-8", "replace"), stops
    )
    found = []
    for token in range(len(pieces)):
        found.append(spelling.add(token))
        if spelling.stopped:
            break
    return [*found, spelling.rest()]


def test_characters_come_whole():
    euro = "€".encode()
    assert shown([b"a", euro[:1], euro[1:2], euro[2:], b"b"]) == ["a", "", "", "€", "b", ""]


def test_what_never_becomes_whole_comes_at_the_end():
    assert shown([b"a", b"\xe2"]) == ["a", "", "\ufffd"]


@pytest.mark.parametrize(
    ("pieces", "stops", "expected"),
    [
        (["one ", "two ", "three"], ["two"], ["one ", "", ""]),
        (["on", "e t", "w", "o three"], ["two"], ["on", "e ", "", "", ""]),
        (["a", "b", "a", "c"], ["aba"], ["", "", "", ""]),
        (["a", "b", "x"], ["aba"], ["", "", "abx", ""]),
        (["a", "b"], ["aba"], ["", "", "ab"]),
        (["STOP"], ["O", "STOP"], ["", ""]),
        (["a", "b"], ["", "zz"], ["a", "b", ""]),
        (["aab"], ["ab"], ["a", ""]),
    ],
)
def test_stop_texts_are_never_shown(pieces, stops, expected):
    assert shown([each.encode() for each in pieces], stops) == expected
