"""Templates that would take gigabytes or minutes, tried in a process that may not have them."""

import json
import resource
import sys
import time
from typing import Any

from sensorium.core.errors import InvalidInputError
from sensorium.models.templates.rendering import ChatTemplate

ROOM = 400 << 20
"""Bytes more than the process has when it begins."""
B = "{% set b = 'a' * 1000000 %}"
DOUBLED = (
    "{% set ns = namespace(a=[1]) %}{% for i in range(25) %}{% set ns.a = [ns.a, ns.a] %}"
    "{% endfor %}"
)
TUPLES = (
    "{% set ns = namespace(t=(1,)) %}{% macro m() %}{% set ns.t = varargs %}{% endmacro %}"
    "{% for i in range(40) %}{{ m(ns.t, ns.t) }}{% endfor %}"
)
NESTED = "{% for i in range(90000) %}{% set ns.t = (ns.t,) %}{% endfor %}"
ROUNDS = "{% for i in range(99999) %}{% for j in range(99999) %}"
ENDS = "{% endfor %}{% endfor %}"
LONG = (
    "{% set ns = namespace(x='ab') %}{% for i in range(21) %}{% set ns.x = ns.x ~ ns.x %}"
    "{% endfor %}"
)
KEPT = "{% set ns = namespace(a=[]) %}{% for i in range(99999) %}{% set ns.a = "
SOURCES = {
    "joining a list": B + "{{ ([b] * 900) | join }}",
    "joining a list by a method": B + "{{ ''.join([b] * 900) }}",
    "joining lists": B + "{{ [[b] * 900] | join }}",
    "a list as text": B + "{{ ([b] * 900) | string }}",
    "a list, told": B + "{{ [b] * 900 }}",
    "a list, told by ~": B + "{{ 'x' ~ ([b] * 900) }}",
    "a list as JSON": B + "{{ ([b] * 900) | tojson }}",
    "JSON, far in": "{% set ns = namespace(a=[1]) %}{% for i in range(100) %}"
    "{% set ns.a = [ns.a] %}{% endfor %}{{ (ns.a * 9000) | tojson(indent=1000) }}",
    "JSON between long marks": B + "{{ ([1] * 900) | tojson(separators=(b, b)) }}",
    "JSON of marks": "{{ ('\\u0001' * 8000000) | tojson }}",
    "a name in a format": B + "{{ ('%(a)s' * 900) % {'a': b} }}",
    "a name in a format's filter": B + "{{ ('%(a)s' * 900) | format(a=b) }}",
    "a width in a format": "{{ '%*d' % (900000000, 1) }}",
    "a width in a format's filter": "{{ '%*d' | format(900000000, 1) }}",
    "many widths in a format": "{{ ('%99999d' * 9000) % ((1,) * 9000) }}",
    "a format in a format": "{{ ('{0:{1}}' * 800).format('x', 1048576) }}",
    "many widths in a str.format": "{{ ('{0:99999}' * 9000).format(1) }}",
    "signs, spelt": "{{ '%a' % ('\U0001f600' * 16000000) }}",
    "a format of an object": "{{ '{a}'.format_map({'a': 1}) }}",
    "other digits": "{{ '{0:\u0669\u0669\u0669\u0669\u0669\u0669\u0669\u0669\u0669}'.format(1) }}",
    "a list in a str.format": B + "{{ '{0} {0} {0}'.format([b] * 300) }}",
    "replacing by name": B + "{{ ('x' * 900) | replace(new=b, old='x') }}",
    "replacing by a mapped filter": B + "{{ (['x' * 900]) | map('replace', 'x', b) | list }}",
    "bytes": B + "{{ ('x' * 900).encode().replace('x'.encode(), b.encode()) }}",
    "sorting": B + "{{ ([b] * 900) | sort | length }}",
    "unequal ones": B + "{{ ([b] * 900) | unique | length }}",
    "lists summed": "{{ ([[1] * 100000] * 900) | sum(start=[]) | length }}",
    "a recursive loop": "{% for a in range(900) recursive %}{% if loop.depth < 5 %}"
    "{{ loop(range(900)) }}{% endif %}{% endfor %}",
    "a loop that leaves all out": "{% for i in range(99999) %}{% for j in range(99999) if false %}"
    + ENDS,
    "a doubled list, told": DOUBLED + "{{ ns.a }}",
    "a doubled list, compared": DOUBLED + "{% set x = ns.a %}" + DOUBLED + "{{ x == ns.a }}",
    "a doubled list, compared by a test": DOUBLED
    + "{% set x = ns.a %}"
    + DOUBLED
    + "{{ x is eq(ns.a) }}",
    "a doubled list, selected by": DOUBLED
    + "{% set x = ns.a %}"
    + DOUBLED
    + "{{ [x] | select('equalto', ns.a) | list | length }}",
    "a doubled list, looked for": DOUBLED
    + "{% set x = ns.a %}"
    + DOUBLED
    + "{{ x in [1, ns.a] }}",
    "a doubled list, looked for by a method": DOUBLED
    + "{% set x = ns.a %}"
    + DOUBLED
    + "{{ [x].count(ns.a) }}",
    "a doubled list that changed": DOUBLED
    + "{% set y = ns.a %}"
    + DOUBLED
    + "{% for x in [y, ns.a] %}{{ loop.changed(x) }}{% endfor %}",
    "a doubled list, refused with": DOUBLED + "{{ raise_exception(ns.a) }}",
    "a namespace in itself": "{% set ns = namespace() %}{% set ns.a = [ns, ns] %}{{ ns }}",
    "a doubled key": TUPLES + "{{ messages[0][ns.t] }}",
    "a doubled key of an object": TUPLES + "{{ {ns.t: 1} | length }}",
    "a doubled key, got": TUPLES + "{{ messages[0].get(ns.t) }}",
    "a doubled key, looked for": TUPLES + "{{ ns.t in messages[0] }}",
    "a doubled key, alone": TUPLES + "{{ [ns.t, ns.t] | unique | length }}",
    "a doubled name": TUPLES + "{{ [1] | map(ns.t) | list }}",
    "a doubled name of a test": TUPLES + "{{ [1] | select(ns.t) | list }}",
    "a deep key": "{% set ns = namespace(t=(1,)) %}" + NESTED + "{{ messages[0][ns.t] }}",
    "lists in rounds": KEPT + "[ns.a" + ", 1" * 900 + "] %}{% endfor %}",
    "objects in rounds": "{% set ns = namespace(a=[]) %}"
    + "{% for j in range(99) %}{% for i in range(99999) %}{% set ns.a = [ns.a, namespace()] %}"
    + ENDS,
    "texts in macros": "{% macro m() %}" + "x" * 9000 + "{% endmacro %}"
    + KEPT
    + "[ns.a, m()] %}{% endfor %}",
    "all in pieces": "{% set x = 'ab ' * 5000000 %}{{ x.split() | length }}",
    "all in pieces of one": "{% set x = 'ab,' * 5000000 %}{{ x.split(',') | length }}",
    "all in pieces by name": "{% set x = 'ab,' * 5000000 %}"
    "{{ x.split(maxsplit=9999999, sep=',') | length }}",
    "what a loop leads to": B + "{% for i in [[b] * 900, 1] %}"
    "{{ '{0[0].previtem}'.format([loop]) }}{% endfor %}",
    "what a loop leads to, joined": B
    + "{% for i in [[b] * 900, 1] %}{{ [loop] | join(attribute='previtem') }}{% endfor %}",
    "what is not there": DOUBLED + "{{ messages[0][ns.a].x }}",
    "what is not there, by a method": DOUBLED + "{{ [1].index(ns.a) }}",
    "what cannot be called": DOUBLED + "{% set ns.unsafe_callable = true %}{{ ns() }}",
    "a default in groups": B + "{{ ([{}] * 900) | groupby('x', default=b) | length }}",
    "a test of a text": DOUBLED + "{{ ns.a is lower }}",
    "numbers that are hashed alike": "{% set ns = namespace(l=[]) %}{% for k in range(25) %}"
    "{% set ns.m = [] %}{% for i in range(1000) %}"
    "{% set ns.m = ns.m + [[2305843009213693951 * (i + 1000 * k), 1]] %}{% endfor %}"
    "{% set ns.l = ns.l + ns.m %}{% endfor %}{{ dict(ns.l) | length }}",
    "all in lines": "{% set x = 'ab\\n' * 5000000 %}{{ x.splitlines() | length }}",
    "all in signs": "{% set x = '\u20ac' * 5000000 %}{{ x | list | length }}",
    "all in signs, joined": "{% set x = '\u20ac' * 5000000 %}{{ ''.join(x) | length }}",
    "all in arguments": "{% macro m() %}{% endmacro %}{{ m(*('\u20ac' * 5000000)) }}",
    "indented": "{{ ('x\\n' * 900000) | indent(1000) }}",
    "filled up": "{{ [1] | batch(900000000, 'x') | list | length }}",
    "a text, rounded": "{{ 'x' | round(9, 'floor') }}",
    "a text that is odd": "{{ '%900000000d' is odd }}",
    "a text that can be divided": "{{ '%900000000d' is divisibleby(1) }}",
    "a great number of a text": "{{ (('1' * 9000000) | int(base=2)) // 3 }}",
    "a great number, divided": "{{ 0x" + "f" * 60000 + " * 0x" + "f" * 5000 + " }}",
    "a round number": "{{ 5 | round(-1000000) }}",
    "compared sign by sign": LONG + "{{ ns.x.rfind('x' + ns.x[:900000]) }}" * 9,
    "stripped sign by sign": LONG + "{{ ns.x.strip('x' * 900000 + 'ab') | length }}" * 9,
    "trimmed sign by sign": LONG + "{{ ns.x | trim('x' * 900000 + 'ab') | length }}" * 9,
    "searched again and again": LONG
    + "{% for i in range(99999) %}{% if 'ac' in ns.x %}{% endif %}{% endfor %}",
    "searched on and on": LONG + "{% if 'ac' in ns.x %}{% endif %}" * 1500,
    "many names": "{{ [1] | map(attribute='a.' * 5000000) | list }}",
    "names in a format": "{% set ns = namespace() %}{% set ns.a = ns %}"
    "{{ ('{0' ~ '.a' * 5000000 ~ '}').format(ns) }}",
    "a date": "{{ strftime_now('%c' * 1000000) }}",
    "more than its budget": "{% set x = [1] | map('counted round', -9999999999) | list %}"
    + "{% for i in range(60) %}{{ 'a' * 2000000 }}{% endfor %}",
    "the same text": B + "{% for i in range(900) %}{{ b }}{% endfor %}",
    "the same text, kept": B
    + "{% set x %}{% for i in range(900) %}{{ b }}{% endfor %}{% endset %}",
    "escaped": "{% autoescape true %}{{ '&' * 9000000 }}{% endautoescape %}",
    "escaped by a filter": "{{ ('&' * 9000000) | e }}",
    "rounds": ROUNDS + ENDS,
    "small pieces": "{{a}}" * 200000,
    "small pieces, as many as may be": "{{a}}" * 13000 + "{{ raise_exception('end') }}",
}  # fmt: skip


def tried(source: str) -> dict[str, Any]:
    """What became of it."""
    began = time.monotonic()
    said = ""
    try:
        made = ChatTemplate(source).render([{"role": "user", "content": "hi"}])
    except InvalidInputError as error:
        said, made = str(error), ""
    return {"said": said, "seconds": time.monotonic() - began, "made": len(made)}


if __name__ == "__main__":
    with open("/proc/self/statm", encoding="ascii") as file:
        has = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (has + ROOM, has + ROOM))
    names = sys.argv[1:] or list(SOURCES)
    for name in names:
        sys.stdout.write(json.dumps({"name": name, **tried(SOURCES[name])}) + "\n")
