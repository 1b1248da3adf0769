"""What usual templates use: it does here what it does in the Jinja that they were written for."""

import json
from typing import Any

import pytest
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from sensorium.models.templates.rendering import ChatTemplate

TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "find",
        "description": "Finds\nthings.",
        "parameters": {
            "type": "object",
            "properties": {
                "what": {"type": ["string", "null"], "description": "What."},
                "many": {"type": "integer", "enum": [1, 2]},
            },
            "required": ["what"],
        },
    },
}
CALL = {"type": "function", "function": {"name": "find", "arguments": {"what": "é", "many": 2}}}
MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": " Be <brief>. "},
    {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]},
    {"role": "assistant", "content": "<think>\nhm\n</think>\n\nA fox.", "tool_calls": [CALL]},
    {"role": "tool", "content": "found", "name": "find"},
    {"role": "user", "content": "Thanks"},
]
USUAL = {
    "map": "{{ messages | map(attribute='role') | join(',') }}",
    "map by a filter": "{{ ['a', 'b'] | map('upper') | list }}",
    "map with a default": "{{ messages | map(attribute='name', default='-') | list }}",
    "select": "{{ [1, 2, 3] | select('odd') | list }}{{ ['', 'a'] | select | list }}",
    "selectattr": "{{ (messages | selectattr('role', 'equalto', 'user') | list)[0].role }}",
    "selectattr by a test": "{{ messages | selectattr('name', 'defined') | list | length }}",
    "selectattr in": "{{ messages | selectattr('role', 'in', ['tool']) | list | length }}",
    "reject": "{{ [1, 2, 3] | reject('equalto', 2) | list }}",
    "rejectattr": "{{ (messages | rejectattr('role', 'eq', 'system') | first).role }}",
    "random": "{{ [7] | random }}",
    "groupby": "{% for role, said in messages | groupby('role') %}{{ role }}{{ said | length }} "
    "{% endfor %}{{ (messages | groupby('role'))[0].grouper }}",
    "dictsort": "{% for k, v in {'b': 1, 'a': 2} | dictsort %}{{ k }}={{ v }} {% endfor %}",
    "items": "{% for k, v in TOOL.function.parameters.properties.items() %}{{ k }}{{ v }}"
    "{% endfor %}{% for k, v in TOOL | items %}{{ k }}{% endfor %}",
    "keys and values": "{{ TOOL.keys() | list }}{{ {'a': 1}.values() | first }}",
    "get": "{{ TOOL.get('x', 'none') }}{{ messages[0].get('name') }}",
    "sort": "{{ [3, 1, 2] | sort(reverse=true) }}{{ ['b', 'A'] | sort }}",
    "unique, min, max, sum": "{{ [1, 1] | unique | list }}{{ [1, 2] | min }}{{ [1, 2] | max }}"
    "{{ [1, 2] | sum }}{{ [[1], [2]] | sum(start=[]) }}",
    "batch and slice": "{{ [1, 2, 3] | batch(2, 0) | list }}{{ [1, 2, 3] | slice(2) | list }}",
    "first, last, reverse": "{{ [1, 2] | first }}{{ 'ab' | last }}{{ 'ab' | reverse }}"
    "{{ [1, 2] | reverse | list }}",
    "numbers": "{{ '7' | int + 1 }}{{ 'x' | int(5) }}{{ 2.567 | round(1) }}{{ -3 | abs }}"
    "{{ 7 // 2 }}{{ 7 / 2 }}{{ 7 % 4 }}{{ 2 ** 10 }}{{ 7 - 9 }}{{ '1.5' | float * 2 }}",
    "texts": "{{ ' a ' | trim }}{{ 'ab' | upper }}{{ 'a b' | title }}{{ 'aB' | capitalize }}"
    "{{ 'a' | center(5) }}{{ 'abc def' | truncate(5, true, '..', 0) }}{{ 'a b' | wordcount }}"
    "{{ 'a-b' | replace('-', '+') }}{{ 'A' | lower }}{{ '<' | e }}{{ 'a' | safe }}",
    "indent": "{{ 'a\\nb\\n\\nc' | indent }}{{ 'a\\nb' | indent(2, first=true) }}"
    "{{ 'a\\nb' | indent('> ') }}",
    "formats": "{{ '%s is %d' % ('a', 1) }}{{ '%s' | format('a') }}{{ '{} {x!r}'.format(1, x=2) }}"
    "{{ '%5.1f%%' % 2.25 }}{{ '{:>5}'.format('a') }}{{ '%(a)s' % {'a': 1} }}",
    "defaults": "{{ nothing | default('x') }}{{ '' | d('y', true) }}{{ nothing }}",
    "methods": "{{ ' ab '.strip() }}{{ 'a,b'.split(',')[-1] }}{{ 'ab'.startswith(('a', 'x')) }}"
    "{{ 'ab'.endswith('b') }}{{ 'ab'.replace('a', 'b') }}{{ ', '.join(['a', 'b']) }}"
    "{{ 'ab'.find('b') }}{{ 'a b'.title() }}{{ 'ab'.removeprefix('a') }}{{ 'a=b'.partition('=') }}"
    "{{ 'a\\nb'.splitlines() }}{{ 'aXb'.rsplit('X', 1)[0] }}{{ '--a'.lstrip('-') }}"
    "{{ '7'.zfill(3) }}{{ '12'.isdigit() }}{{ 'aa'.count('a') }}{{ [1, 2].index(2) }}",
    "thoughts": "{% set c = messages[2].content %}{{ c.split('</think>')[0].rstrip('\\n')"
    ".split('<think>')[-1].lstrip('\\n') }}|{{ c.split('</think>')[-1].lstrip('\\n') }}",
    "slices": "{% for m in messages[1:] %}{{ m.role }}{% endfor %}{{ messages[::-1][0].role }}"
    "{{ 'abc'[-2:] }}{{ messages[-1].role }}{{ 'abc'[0] }}",
    "comparisons": "{{ 1 < 2 < 3 }}{{ [1] == [1] }}{{ 'a' in 'ab' }}{{ 1 in [1, 2] }}"
    "{{ 'role' in messages[0] }}{{ 'b' not in {'a': 1} }}{{ messages[0] != messages[1] }}"
    "{{ messages[0].role in ['user', 'system'] }}{{ messages[3].name in TOOL.function.name }}",
    "tests": "{{ messages is iterable }}{{ messages[1].content is not string }}{{ 1 is number }}"
    "{{ TOOL is mapping }}{{ none is none }}{{ x is defined }}{{ 4 is divisibleby 2 }}"
    "{{ 'a' is eq 'a' }}{{ 2 is in [2] }}{{ true is sameas true }}{{ [1] is sequence }}"
    "{{ 'a' is lower }}{{ 3 is odd }}{{ true is boolean }}{{ 1 is integer }}{{ false is false }}",
    "macros": "{% macro type_of(spec, more=none) %}{% if spec.type is string %}{{ spec.type }}"
    "{% else %}{% for t in spec.type %}{{ t }}{{ ' | ' if not loop.last }}{% endfor %}{% endif %}"
    "{{ more or '' }}{% endmacro %}{% for k, v in TOOL.function.parameters.properties | items %}"
    "{{ k }}: {{ type_of(v, more='!') }}\n{% endfor %}",
    "a macro of itself": "{% macro down(n) %}{{ n }}{{ down(n - 1) if n }}"
    "{% endmacro %}{{ down(5) }}",
    "a call block": "{% macro twice() %}{{ caller('a') }}{{ caller('b') }}{% endmacro %}"
    "{% call(x) twice() %}<{{ x }}>{% endcall %}",
    "a macro's arguments": "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, a=2) }}"
    "{{ m(*[1, 2], **{'b': 3}) }}",
    "namespaces": "{% set ns = namespace(found=false, n=0) %}{% for m in messages %}"
    "{% if m.role == 'tool' %}{% set ns.found = true %}{% endif %}"
    "{% set ns.n = ns.n + loop.index %}{% endfor %}{{ ns.found }}{{ ns.n }}",
    "loops": "{% for m in messages %}{{ loop.index0 }}{{ loop.revindex }}{{ loop.first }}"
    "{{ loop.last }}{{ loop.length }}{{ loop.previtem.role if loop.previtem is defined }}"
    "{{ loop.nextitem.role if not loop.last }}{{ loop.cycle('a', 'b') }}"
    "{{ loop.changed(m.role) }}{% endfor %}",
    "loops that end": "{% for m in messages %}{% if m.role == 'user' %}{% continue %}{% endif %}"
    "{{ m.role }}{% if m.role == 'tool' %}{% break %}{% endif %}{% endfor %}",
    "loops that leave out": "{% for m in messages if m.role != 'user' %}{{ loop.index }}"
    "{{ m.role }}{% else %}none{% endfor %}{% for m in [] %}{% else %}none{% endfor %}",
    "loops of loops": "{% for a in [[1, [2]], [3]] recursive %}"
    "{{ loop(a) if a is iterable else a }}{{ loop.depth }}{% endfor %}",
    "parts": "{% for p in messages[1].content %}{% if p.type == 'image' %}<image>{% else %}"
    "{{ p['text'] }}{% endif %}{% endfor %}",
    "joined": "{{ 'a' ~ 1 ~ none ~ [1] }}{{ 'a' + 'b' * 3 }}{{ [1] + [2] }}{{ [0] * 3 }}",
    "blocks that are set": "{% set x %}a{{ 1 }}{% endset %}{{ x | length }}"
    "{% filter upper %}abc{% endfilter %}{% with y = 2 %}{{ y }}{% endwith %}",
    "ranges and objects": "{{ range(3) | list }}{{ dict(a=1) }}{{ dict(a=1, **{'b': 2}) }}"
    "{{ {'a': [1, {'b': none}]} }}{{ {messages[0].role: 1} }}",
    "blocks": "{% block a %}{{ 1 }}{% endblock %}{{ self.a() }}",
    "several at once": "{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set a, b = b, a %}{{ a }}{{ b }}",
    "attr": "{{ messages[0] | attr('role') }}{{ messages | attr('nothing') }}",
    "whether": "{{ 'a' if messages else 'b' }}{{ (none or 'c') and 'd' }}{{ not true }}",
    "raw": "{% raw %}{{ x }}{% endraw %}{# nothing #}{{ '{{' }}",
}  # fmt: skip


def plain(source: str) -> str:
    """What Jinja itself makes of it, as those who write templates run it."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    made = environment.from_string(source)
    return made.render(messages=MESSAGES, TOOL=TOOL, tools=[TOOL], add_generation_prompt=True)


@pytest.mark.parametrize("source", USUAL.values(), ids=USUAL)
def test_it_does_what_it_does_in_jinja(source: str) -> None:
    assert ChatTemplate(source).render(MESSAGES, [TOOL], TOOL=TOOL) == plain(source)


@pytest.mark.parametrize(
    ("arguments", "more"),
    [
        ("", {}),
        ("indent=4", {"indent": 4}),
        ("indent=none", {}),
        ("separators=(',', ':')", {"separators": (",", ":")}),
        ("ensure_ascii=true", {"ensure_ascii": True}),
        ("ensure_ascii=false, sort_keys=true", {"sort_keys": True}),
    ],
)
def test_json_is_plain(arguments: str, more: dict[str, Any]) -> None:
    made = ChatTemplate(f"{{{{ messages | tojson({arguments}) }}}}").render(MESSAGES)
    assert made == json.dumps(MESSAGES, **{"ensure_ascii": False, **more})


def test_a_date_and_a_special_token() -> None:
    source = "{{ bos_token }}{{ strftime_now('%Y') | int > 2000 }}"
    assert ChatTemplate(source, bos_token="<s>").render(MESSAGES) == "<s>True"


def test_a_long_conversation_is_within_bounds() -> None:
    """A million tokens, said in turns by a template that copies each a few times."""
    source = (
        "{% for m in messages %}{% set c = m.content | trim %}{% if '</think>' in c %}"
        "{% set c = c.split('</think>')[-1] %}{% endif %}"
        "{{ '<|im_start|>' + m.role + '\\n' + c + '<|im_end|>' + '\\n' }}{% endfor %}"
    )
    said = [{"role": "user", "content": "word " * 200} for _ in range(4000)]
    assert len(ChatTemplate(source).render(said)) > 4_000_000
