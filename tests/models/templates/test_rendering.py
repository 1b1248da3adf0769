"""Chat templates: what the usual ones make of a conversation, and what hostile ones may not do."""

import json
import resource
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from sensorium.core.errors import InvalidInputError
from sensorium.models.templates import counting
from sensorium.models.templates.budget import Budget, TemplateLimitError
from sensorium.models.templates.rendering import ChatTemplate
from tests.models.templates import hostile

CHATML = """\
{%- if tools %}
{{- '<|im_start|>system\\n' }}
    {%- for tool in tools %}
{{- '\\n' ~ (tool | tojson) }}
    {%- endfor %}
{{- '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages[0:] %}
    {%- if loop.first and message.role != 'system' and not tools %}
{{- '<|im_start|>system\\nYou are helpful.<|im_end|>\\n' }}
    {%- endif %}
{{- '<|im_start|>' + message.role + '\\n' }}
    {%- generation %}{{ message['content'] | trim }}{% endgeneration %}
{{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- endif %}"""
SHOUT = """\
{%- set ns = namespace(seen=0) -%}
{%- for message in messages -%}
    {%- if message.role not in ['user', 'assistant'] -%}
        {{ raise_exception('Only user and assistant roles are supported!') }}
    {%- endif -%}
    {%- set ns.seen = ns.seen + 1 -%}
    {%- if ns.seen > 2 %}{% break %}{% endif -%}
    {{ bos_token if loop.first else '' }}[{{ '%s' % message.role | upper }}] {{ message.content }}
{%- endfor -%}"""
HI = [{"role": "user", "content": " hi "}]


def test_a_usual_template_with_all_that_is_usual_in_it() -> None:
    tool = {"type": "function", "function": {"name": "é", "parameters": {}}}
    template = ChatTemplate(CHATML)
    assert template.takes_tools
    assert template.render(HI) == (
        "<|im_start|>system\nYou are helpful.<|im_end|>\n"
        "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    )
    assert template.render(HI, [tool]) == (
        '<|im_start|>system\n\n{"type": "function", "function": {"name": "é", "parameters": {}}}'
        "<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    )


def test_special_tokens_breaks_and_refusals() -> None:
    template = ChatTemplate(SHOUT, bos_token="<s>")
    assert not template.takes_tools
    said = [{"role": "user", "content": str(number)} for number in range(4)]
    assert template.render(said) == "<s>[USER] 0[USER] 1"
    with pytest.raises(InvalidInputError, match="Only user and assistant roles"):
        template.render([{"role": "system", "content": "x"}])


def test_several_threads_have_budgets_of_their_own() -> None:
    template = ChatTemplate("{% for i in range(90000) %}{% endfor %}{{ messages[0].content }}")
    found: list[str] = []

    def work(number: int) -> None:
        said = [{"role": "user", "content": str(number)}]
        found.extend(template.render(said) for _ in range(5))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(str(number) for number in range(4) for _ in range(5))


HOSTILE = {
    "loops": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "constant loops": "{% for a in 'x' * 1000 %}" * 5 + "{% endfor %}" * 5,
    "a doubled text": "{% set n = namespace(x='a') %}{% for i in range(60) %}"
    "{% set n.x = n.x ~ n.x %}{% endfor %}",
    "a doubled list": "{% set n = namespace(x=[1]) %}{% for i in range(60) %}"
    "{% set n.x = n.x + n.x %}{% endfor %}",
    "a long text": "{{ 'a' * 10 ** 10 }}",
    "a long list": "{{ [1] * 99999999 }}",
    "a wide filter": "{{ 'x' | center(1000000000) }}",
    "a wide method": "{{ 'x'.ljust(1000000000) }}",
    "a wide format": "{{ '%1000000000d' | format(1) }}",
    "a wide operator": "{{ '%1000000000d' % 1 }}",
    "a wide str.format": "{{ '{:1000000000}'.format(1) }}",
    "replacing": "{{ messages[0].content.replace('h', 'x' * 1000000) }}",
    "replacing by a filter": "{{ messages[0].content | replace('h', 'x' * 1000000) }}",
    "joining": "{{ ('x' * 1000000).join(messages[0].content) }}",
    "joining by a filter": "{{ messages[0].content | join('x' * 1000000) }}",
    "calls of calls": "{% macro m(n) %}{% if n %}{{ m(n-1) }}{{ m(n-1) }}{% endif %}{% endmacro %}"
    "{{ m(90) }}",
    "recursion": "{% macro m(n) %}{{ m(n) }}{% endmacro %}{{ m(1) }}",
    "a recursive loop": "{% for m in messages recursive %}{{ loop(messages) }}{% endfor %}",
    "slices": "{% set n = namespace(l=[]) %}{% for i in range(99999) %}"
    "{% set n.l = n.l + [messages[0].content[0:]] %}{% endfor %}",
    "a great number": "{{ 9 ** 9 ** 9 ** 9 ** 9 }}",
    "squares": "{% set n = namespace(x=9) %}{% for i in range(99999) %}"
    "{% set n.x = n.x * n.x %}{% endfor %}",
    "the way out by a class": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "the way out by a function": "{{ raise_exception.__globals__.os }}",
    "the way out by attr": "{{ ('' | attr('__class__')).mro() }}",
    "the way out by a format": "{{ '{0.__class__.__mro__[1]}'.format(messages) | int + [] }}",
    "a file": "{% include '/etc/passwd' %}",
    "much text from little": "{{ lipsum(n=100000) }}",
    "deep nesting": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "no template": "{% if x %}",
}


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_template_is_refused_soon_and_cheaply(source: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    with pytest.raises(InvalidInputError, match="chat template"):
        ChatTemplate(source).render([{"role": "user", "content": "hi" * 5000}])
    assert time.monotonic() - began < 20  # 2 s of its own, on a busy machine
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KiB


def test_a_limit_is_an_error_of_its_own() -> None:
    with pytest.raises(TemplateLimitError, match="come to an end"):
        ChatTemplate(HOSTILE["loops"]).render(HI)


@pytest.fixture(scope="module")
def tried() -> dict[str, dict[str, Any]]:
    """What became of each template in a process that may not take gigabytes."""
    ran = subprocess.run(
        [sys.executable, "-m", hostile.__name__],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    found = map(json.loads, ran.stdout.splitlines())
    return {each["name"]: each for each in found}


@pytest.mark.parametrize("name", hostile.SOURCES)
def test_one_that_would_take_gigabytes_or_minutes(
    name: str, tried: dict[str, dict[str, Any]]
) -> None:
    found = tried[name]
    assert "chat template" in found["said"]
    assert "MemoryError" not in found["said"]
    assert found["seconds"] < 10  # 2 s of its own and a step, on a busy machine


def test_numbers_that_only_count_take_nothing_back() -> None:
    budget = Budget(max_size=10)
    budget.spend(8)
    with pytest.raises(TemplateLimitError):
        budget.spend(-5)
    with pytest.raises(TemplateLimitError):
        budget.spend(3)


def test_what_only_counts_has_no_name() -> None:
    for name in counting.ROUND, counting.CUT, counting.COMPARED:
        with pytest.raises(InvalidInputError, match="may not have"):
            ChatTemplate(f"{{{{ [1] | map('{name}', 1) | list }}}}").render(HI)


def test_a_template_that_takes_tools_is_one_that_tells_of_them() -> None:
    said = "{% for m in messages %}{{ m.content }}{% endfor %}"
    assert ChatTemplate(CHATML).takes_tools
    for source in (
        "{# tools #}" + said,
        "{% if tools %}{{ raise_exception('no tools') }}{% endif %}" + said,
        "{{ '' if tools else '' }}" + said,
        "{{ tools",
    ):
        assert not ChatTemplate(source).takes_tools
    refusing = "{% if messages[0].role != 'system' %}{{ raise_exception('no') }}{% endif %}"
    assert ChatTemplate(refusing + "{{ tools }}").takes_tools
