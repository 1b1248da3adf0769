"""Chat templates: what the usual ones make of a conversation, and what hostile ones may not do."""

import resource
import threading
import time

import pytest

from sensorium.core.errors import InvalidInputError
from sensorium.models.templates.budget import TemplateLimitError
from sensorium.models.templates.rendering import ChatTemplate

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
    "a great number": "{{ 9 ** 9 ** 9 ** 9 }}",
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
