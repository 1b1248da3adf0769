"""Names of types in the API's document, where packages use one name for different types."""

from msgspec import defstruct

from sensorium.core.schema import components


def named(name: str, module: str) -> type:
    return defstruct(name, [("a", int)], module=module)


def test_a_name_that_is_used_once_stays() -> None:
    references, schemas = components([named("Event", "sensorium.capabilities.logs.schema")])
    assert references == [{"$ref": "#/components/schemas/Event"}]
    assert list(schemas) == ["Event"]


def test_a_name_that_is_used_twice_has_the_noun_in_front() -> None:
    kinds = [
        named("Event", "sensorium.capabilities.logs.schema"),
        named("Event", "sensorium.capabilities.metrics.schema"),
        named("Event", "words"),
        named("Event", "words_and_more.schema"),
    ]
    references, schemas = components(kinds)
    assert sorted(schemas) == ["LogsEvent", "MetricsEvent", "WordsAndMoreEvent", "WordsEvent"]
    assert references[2] == {"$ref": "#/components/schemas/WordsEvent"}


def test_one_that_is_doubled_within_a_noun_has_its_module_in_front() -> None:
    kinds = [named("Event", "words.a"), named("Event", "words.b"), named("Event", "c")]
    _, schemas = components(kinds)
    assert sorted(schemas) == ["CEvent", "WordsAEvent", "WordsBEvent"]
