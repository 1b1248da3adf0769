"""References and conditions: what they mean, and what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorium.capabilities.pipelines.conditions import compare, parse_condition
from sensorium.capabilities.pipelines.references import (
    follow,
    parse_reference,
    parse_tree,
    references_in,
)
from sensorium.core.errors import InvalidInputError
from sensorium.core.types import Series

VALUE = {
    "a": [{"b": 1, "c d": "x"}, {"b": 2, "c d": "y"}, {"b": 3, "c d": "z"}],
    "nothing": None,
    "series": Series(name="s", values=[1.0]),
    'q"': {"]": 5},
}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("$v", VALUE),
        ("$v.a[0].b", 1),
        ("$v.a[-1].b", 3),
        ("$v.a[*].b", [1, 2, 3]),
        ('$v.a[1]["c d"]', "y"),
        ('$v["q\\""]["]"]', 5),
        ('$v.a[*]["c d"]', ["x", "y", "z"]),
        ("$v.series.values[0]", 1.0),
        ("$v.nothing", None),
    ],
)
def test_a_reference_leads_to_what_it_says(text, found):
    assert follow(VALUE, parse_reference(text).steps, text) == found


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("$v.a[3].b", r"\$v.a\[3\].b: there is no item 3, of 3"),
        ("$v.a[-4]", "no item -4"),
        ("$v.b", "no member 'b'"),
        ("$v.nothing.b", "b is taken of what is no map"),
        ("$v.a.b", "b is taken of what is no map"),
        ("$v[0]", r"\[0\] is taken of what is no list"),
        ("$v[*]", "no list"),
        ("$v.a[*].z", "no member 'z'"),
        ("$v.series.points", "no member"),
    ],
)
def test_a_reference_to_nothing_says_at_which_step(text, why):
    with pytest.raises(InvalidInputError, match=why):
        follow(VALUE, parse_reference(text).steps, text)


@pytest.mark.parametrize(
    "text",
    [
        "$",
        "$V",
        "$1",
        "$v.",
        "$v..a",
        "$v[",
        "$v[a]",
        "$v[1.5]",
        "$v a",
        "$v.a + 1",
        "$v[**]",
        "$v()",
        "$v.__class__()",
        '$v["a]',
        "${v}",
        "$v.1",
        "$v" + "[0]" * 17,
    ],
)
def test_what_is_no_reference_is_refused(text):
    with pytest.raises(ValueError, match=r"reference|step|text"):
        parse_reference(text)


def test_a_tree_keeps_its_literals():
    tree = parse_tree({"a": ["$x.y", "$$x", "x$", 1, None, {"b": "$z"}]})
    assert [each.text for each in references_in(tree)] == ["$x.y", "$z"]
    assert tree["a"][1:5] == ["$x", "x$", 1, None]


@given(st.text(max_size=30))
def test_any_text_is_a_reference_or_refused(text):
    try:
        found = parse_reference("$" + text)
    except ValueError:
        return
    assert found.text == "$" + text


HOLDS = [
    "$a > 3", "$a >= 4", "$a < 4.5", "$a <= 4", "$a == 4", "$a == 4.0", "$a != 5", "4 == $a",
    '$b == "x y"', '$b < "z"', '"x" in $b', "$a in [1, 4]", '"k" in $m', "$l == [1, 2]",
    "$l", "not $empty", "not $none", "$none == null", "$a != null", "$t == true", "$t != 1",
    "$l[0] == $m.k", '$b != "="',
]  # fmt: skip
FAILS = [
    "$a > 4", "$a == 5", "$a != 4", '$b == "x"', '"q" in $b', "$a in []", "$empty", "$none",
    "not $l", "$a == null", "$none > 3", "3 > $none", "$t == 1", '$a == "4"', "1 in $m.l",
]  # fmt: skip
KNOWN = {
    "a": 4,
    "b": "x y",
    "l": [1, 2],
    "m": {"k": 1, "l": []},
    "empty": "",
    "none": None,
    "t": True,
}


def resolve(reference):
    return follow(KNOWN[reference.root], reference.steps, reference.text)


@pytest.mark.parametrize("text", HOLDS)
def test_it_holds(text):
    assert parse_condition(text).holds(resolve)


@pytest.mark.parametrize("text", FAILS)
def test_it_does_not_hold(text):
    assert not parse_condition(text).holds(resolve)


@pytest.mark.parametrize("text", ["$a > $b", "$l < 3", "$t > 0", "$a in 3", "1 in $b", "$l in $m"])
def test_what_cannot_be_compared_so_is_refused(text):
    with pytest.raises(InvalidInputError, match=r"compares|looks into"):
        parse_condition(text).holds(resolve)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3 > 2",
        "true",
        "$a >",
        "$a = 3",
        "$a > b",
        "$a > 3 and $b",
        "$a > 3 > 2",
        "not $a > 3",
        "$a + 1 > 2",
        "$a > 'x'",
        "$a > __import__",
        "len($a) > 3",
        "$a.b() == 1",
        "$a is 3",
        "not not $a",
        "$a ==",
        "== 3",
        '$a == "x',
        "$a == [1",
    ],
)
def test_what_is_no_condition_is_refused(text):
    with pytest.raises(ValueError, match=r".+"):
        parse_condition(text)


@given(st.text(max_size=30))
def test_any_text_is_a_condition_or_refused(text):
    for whole in (text, f"$a {text}", f"$a == {text}"):
        try:
            parse_condition(whole)
        except ValueError:
            continue


@given(
    *[st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=3), st.lists)] * 2,
    st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in"]),
)
def test_any_two_values_are_compared_or_refused(left, right, comparison):
    try:
        found = compare(left, comparison, right)
    except InvalidInputError:
        return
    assert found in (True, False)
    assert compare(left, "==", right) is not compare(left, "!=", right)
