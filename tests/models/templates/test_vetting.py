"""Which templates an engine without bounds may have."""

import pytest

from sensorium.models.templates.vetting import is_harmless

SAID = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
ROUNDS = "{% for a in range(99999) %}" * 3 + "{% endfor %}" * 3


@pytest.mark.parametrize(
    "source",
    [
        SAID,
        "{% if tools %}{{ tools | tojson }}{% endif %}" + SAID,
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}" + SAID,
        "{% if tools %}{{ raise_exception('no tools') }}{% endif %}" + SAID,
    ],
)
def test_one_that_takes_some_conversation_is_harmless(source: str) -> None:
    assert is_harmless(source)


@pytest.mark.parametrize(
    "source",
    [
        "{% for %}{{",
        ROUNDS,
        "{{ 'a' * 4000000000 }}",
        "{{ ''.__class__.__mro__ }}",
        "{% if tools %}" + ROUNDS + "{% endif %}" + SAID,
        "{% if messages[-1]['role'] == 'tool' %}" + ROUNDS + "{% endif %}" + SAID,
        "{% if enable_thinking is defined %}" + ROUNDS + "{% endif %}" + SAID,
        "{% if date_string %}" + ROUNDS + "{% endif %}" + SAID,
    ],
)
def test_one_that_is_broken_or_without_bounds_is_not(source: str) -> None:
    assert not is_harmless(source)
