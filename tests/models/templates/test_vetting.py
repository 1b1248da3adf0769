"""Which templates an engine without bounds may have."""

import pytest

from sensorium.models.templates.budget import TemplateLimitError
from sensorium.models.templates.rendering import ChatTemplate
from sensorium.models.templates.samples import ASKED
from sensorium.models.templates.vetting import is_harmless, takes

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


@pytest.mark.parametrize("name", ["enable_thinking", "date_string", "functions"])
def test_one_that_waits_for_a_word_is_found_out_when_it_is_said(name: str) -> None:
    when = f"{{% if {name} is defined and messages[0].content == 'boo' %}}{ROUNDS}{{% endif %}}"
    assert is_harmless(when + SAID)
    template = ChatTemplate(when + SAID)
    assert takes(template, [ASKED])
    with pytest.raises(TemplateLimitError):
        takes(template, [{"role": "user", "content": "boo"}])


def test_one_that_takes_nothing() -> None:
    assert not takes(ChatTemplate("{{ raise_exception('no') }}"), [ASKED])
