"""What a template may name: what those in use need, and what is like it and as easily counted.

Filters are in `costs.FILTERS`, each with what it costs.
"""

from jinja2.runtime import BlockReference, LoopContext, Macro, TemplateReference, Undefined
from jinja2.utils import Namespace

_LOOKING = """
defined undefined none boolean false true integer float string mapping number sequence iterable
callable sameas escaped
"""
_COMPARING = "in == eq equalto != ne > gt greaterthan >= ge < lt lessthan <= le"
_TEXT = """
capitalize casefold center count endswith find format index isalnum isalpha isascii isdecimal
isdigit isidentifier islower isnumeric isprintable isspace istitle isupper join ljust lower lstrip
partition removeprefix removesuffix replace rfind rindex rjust rpartition rsplit rstrip split
splitlines startswith strip swapcase title upper zfill
"""
GLOBALS = ("range", "dict", "namespace")
"""Of Jinja's own functions."""
TESTS = _LOOKING.split()
"""Those that look at no more than one thing, and not into it."""
ON_NUMBERS = ("odd", "even", "divisibleby")
ON_TEXTS = ("lower", "upper")
COMPARING = [*_COMPARING.split(), *ON_NUMBERS, *ON_TEXTS]
METHODS: dict[type, frozenset[str]] = {
    str: frozenset(_TEXT.split()),
    list: frozenset(["copy", "count", "index"]),
    tuple: frozenset(["count", "index"]),
    dict: frozenset(["copy", "get", "items", "keys", "values"]),
}
OPEN = (Namespace, LoopContext, Macro, TemplateReference, BlockReference, Undefined)
"""Jinja's own, which have attributes for templates: as its sandbox has them."""
