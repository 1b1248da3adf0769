"""What goes wrong with a model, its process and its callers, at every door to a conversation."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sensorium.models.headers.reading import read_header
from tests.faults.observing import until
from tests.language.doors import DOORS, Body, Door, Heard, model_of
from tests.language.lasting import TINYLM, lasting
from tests.language.openai_words import FRANCE, GREEDY, MODEL, PARIS
from tests.security.raw import connected
from tests.servers import Server, serving

EMOJI = "🦊👋🏽🇫🇷 so"
TEMPLATE_KEY = b"tokenizer.chat_template"
MANY = 32
FRESH = {"parallel": MANY, "context": 2048}
ROUND = "{% for a in range(99999) %}"
TEMPLATES = {
    "loops": ROUND * 3 + "{% endfor %}" * 3 + "x",
    "giant": "{{ 'a' * 4000000000 }}",
    "grows": "{% set n = namespace(s='aaaaaaaa') %}{% for a in range(60) %}"
    "{% set n.s = n.s + n.s %}{% endfor %}{{ n.s }}",
    "reaches": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "broken": "{% for %}{{",
}
"""What strangers may put into a model's file."""
REFUSED = (400, 422)
LOAD_S = 60.0
BACK_S = 15.0
"""A new process has the model by then; where the machine has much else to do, it takes longer."""
ANSWER_S = 25.0
every_door = pytest.mark.parametrize("door", DOORS, ids=lambda each: each.name)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that also has a model without a template, and models with malicious ones."""
    folder = tmp_path_factory.mktemp("models")
    content = TINYLM.read_bytes()
    write(folder / "silent", content.replace(TEMPLATE_KEY, TEMPLATE_KEY[:-1] + b"X"))
    template = read_header(TINYLM, "gguf").chat_template.encode()
    for name, other in TEMPLATES.items():
        assert len(other) <= len(template)
        write(folder / name, content.replace(template, other.encode().ljust(len(template))))
    with serving(environ=lasting(folder)) as running:
        yield running


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own, which makes many texts at once, and whose model it may kill."""
    with serving(environ=lasting(tmp_path)) as running:
        load(running, **FRESH)
        yield running


def write(folder: Path, content: bytes) -> None:
    folder.mkdir()
    (folder / "model.gguf").write_bytes(content)


def in_use(http: httpx.Client) -> int:
    """How many texts are being made, or wait."""
    loaded = http.post("/v1/models/list", json={"loaded": True}).json()["loaded"]
    return sum(each["in_use"] for each in loaded)


def load(server: Server, **options: int) -> float:
    """Load the model with these options; returns the seconds that it took."""
    began = time.perf_counter()
    with server.client() as http:
        asked = {"model": MODEL, "fresh": True, "options": options}
        assert http.post("/v1/models/load", json=asked).status_code == 200
    return time.perf_counter() - began


def answers_as_ever(server: Server, door: Door) -> None:
    with server.client() as http:
        found = door.talk(http, door.body(FRANCE))
    assert (found.text, found.error, found.whole) == (PARIS, "", True)


@every_door
def test_an_emoji_of_several_tokens_stays_whole(own: Server, door: Door) -> None:
    """The schema has the model write it, token by token, some of which are parts of characters."""
    with own.client() as http:
        found = door.talk(http, door.body("Wave!", schema={"const": EMOJI}))
    assert (found.text, found.error) == (f'"{EMOJI}"', "")
    assert found.whole


def test_a_text_that_ends_within_an_emoji_has_no_half_of_it(own: Server) -> None:
    texts = set()
    with own.client() as http:
        for tokens in range(1, 30):
            asked = {"model": MODEL, "prompt": "Wave!", "grammar": f'root ::= "{EMOJI}"'}
            found = http.post("/v1/text/complete", json={**asked, "max_tokens": tokens}).json()
            texts.add(found["choices"][0]["text"])
    assert all(EMOJI.startswith(text) for text in texts), texts
    assert EMOJI in texts
    assert len(texts) > 3


@every_door
def test_a_model_without_a_template_takes_no_conversation(own: Server, door: Door) -> None:
    with own.client() as http:
        for stream in (True, False):
            found = door.talk(http, door.body(FRANCE, model="silent", stream=stream))
            assert found.status in (*REFUSED, 200) if stream else REFUSED  # 200: it took a while
            assert "no chat template" in found.error
        body = {"model": "silent", "prompt": "The capital", "max_tokens": 4}
        assert http.post("/v1/text/complete", json=body).json()["choices"][0]["text"]
    answers_as_ever(own, door)


@every_door
@pytest.mark.parametrize("name", TEMPLATES)
def test_a_malicious_template_is_stopped(own: Server, name: str, door: Door) -> None:
    """Its model loads, and makes texts; a conversation with it is refused in a bounded time."""
    waits: list[float] = []
    over = threading.Event()

    def others() -> None:
        with own.client() as http:
            while not over.is_set():
                found = DOORS[0].talk(http, DOORS[0].body(FRANCE))
                assert found.text == PARIS
                waits.append(found.took_s)

    neighbour = threading.Thread(target=others)
    neighbour.start()
    try:
        with own.client(timeout=LOAD_S) as http:
            assert http.post("/v1/models/load", json={"model": name}).status_code == 200
            found = door.talk(http, door.body(FRANCE, model=name))
            body = {"model": name, "prompt": "The capital", "max_tokens": 4}
            text = http.post("/v1/text/complete", json=body).json()["choices"][0]["text"]
            http.post("/v1/models/unload", json={"model": name})
    finally:
        over.set()
        neighbour.join()
    assert "chat template" in found.error
    assert found.took_s < ANSWER_S
    assert text
    assert max(waits, default=0.0) < ANSWER_S


@pytest.mark.parametrize(
    "more",
    [
        {"grammar": 'root ::= "a" root'},
        {"grammar": 'root ::= root "a"'},
        {"grammar": 'root ::= missing "a"'},
        {"grammar": "root ::= [^\\x00-\\U0010FFFF]"},
        {"grammar": "root ::="},
        {"grammar": "nothing of the kind"},
        {"grammar": "x ::= " + "(" * 5000 + '"a"' + ")" * 5000},
        {"grammar": 'root ::= ("a"{1000000}){1000000}'},
        {"json_schema": {"enum": []}},
        {"json_schema": {"allOf": [{"type": "string"}, {"type": "integer"}]}},
        {"json_schema": {"type": "string", "minLength": 5, "maxLength": 2}},
        {"json_schema": {"type": "string", "pattern": "(a*)*$^b"}},
        {"json_schema": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}},
        {"json_schema": {"not": {}}},
    ],
)
def test_what_a_text_cannot_be_held_to_is_refused_or_ends(own: Server, more: Body) -> None:
    with own.client() as http:
        body = {"model": MODEL, "prompt": "Say", "max_tokens": 50, "temperature": 0, **more}
        began = time.perf_counter()
        found = http.post("/v1/text/complete", json=body)
        took = time.perf_counter() - began
    assert took < ANSWER_S
    if found.status_code != 200:
        assert found.status_code in REFUSED, found.text
        assert found.json()["detail"]
    else:
        assert found.json()["choices"][0]["finish"] in ("stop", "length")
    answers_as_ever(own, DOORS[0])


@every_door
def test_a_thousand_of_what_there_may_be_few(own: Server, door: Door) -> None:
    with own.client() as http:
        for more in (door.many, {"n": 1000}):
            if more == {"n": 1000} and door.name in ("anthropic", "ollama"):
                continue  # their answers are one
            found = door.talk(http, door.body(FRANCE, **more))
            assert found.status in REFUSED
            assert "16" in found.error
    answers_as_ever(own, door)


def together(
    server: Server, asked: list[tuple[Door, Body]], then: Any = None, **headers: str
) -> list[Heard]:
    """Streams side by side; when all have begun, `then` is called."""

    async def main() -> list[Heard]:
        waiting = set(range(len(asked)))
        all_begun = asyncio.Event()

        def begun(number: int) -> None:
            waiting.discard(number)
            if not waiting:
                all_begun.set()

        async with httpx.AsyncClient(base_url=server.url, timeout=100.0, limits=LIMITS) as http:
            streams = [
                asyncio.create_task(door.follow(http, body, lambda n=number: begun(n), **headers))
                for number, (door, body) in enumerate(asked)
            ]
            if then is not None:
                await asyncio.wait_for(all_begun.wait(), 30)
                then()
            return await asyncio.gather(*streams)

    return asyncio.run(main())


LIMITS = httpx.Limits(max_connections=None)


def test_no_token_crosses_from_door_to_door(fresh: Server) -> None:
    """Streams of all doors side by side, of other prompts with the same seed, are as if alone."""
    prompts = [
        *GREEDY,
        *(f"What is {left} plus {right}?" for left in range(3, 9) for right in (4, 7, 9)),
    ][:MANY]
    assert len(prompts) == MANY
    asked = []
    for number, prompt in enumerate(prompts):
        door = DOORS[number % len(DOORS)]
        body = door.body(prompt, max_tokens=100)
        if door.name in ("own", "openai"):
            body["seed"] = 1
        asked.append((door, body))
    with fresh.client() as http:
        alone = [door.talk(http, body).text for door, body in asked]
    assert [each.text for each in together(fresh, asked)] == alone


def test_a_process_killed_under_many_streams_ends_each_with_an_error(fresh: Server) -> None:
    usual_s = load(fresh, **FRESH)
    asked = [(door, door.endless()) for door in DOORS for _ in range(MANY // len(DOORS))]
    killed: list[float] = []

    def kill() -> None:
        model_of(fresh).kill()
        killed.append(time.perf_counter())

    found = together(fresh, asked, kill)
    assert time.perf_counter() - killed[0] < 20.0
    for (door, _), heard in zip(asked, found, strict=True):
        assert (heard.status, heard.whole) == (200, True), (door.name, heard)
        assert "try again" in heard.error, (door.name, heard)
        assert heard.kind in ("unavailable", "server_error", "api_error", ""), door.name
    began = time.perf_counter()
    answers_as_ever(fresh, DOORS[0])
    took_s = time.perf_counter() - began
    assert took_s < max(BACK_S, 3 * usual_s), usual_s


@every_door
def test_a_process_killed_before_the_first_token_is_not_noticed(fresh: Server, door: Door) -> None:
    heard: list[Heard] = []

    def ask() -> None:
        with fresh.client() as http:
            heard.append(door.talk(http, door.body(FRANCE)))

    with fresh.client() as http:
        model = model_of(fresh)
        model.suspend()  # so that nothing comes before
        callers = [threading.Thread(target=ask) for _ in range(4)]
        for each in callers:
            each.start()
        until(lambda: in_use(http) == len(callers), 10, "all have asked")
        model.kill()
        for each in callers:
            each.join()
    assert [(each.text, each.error) for each in heard] == [(PARIS, "")] * len(callers)


def test_a_process_that_stands_still_costs_streams_their_deadline(fresh: Server) -> None:
    asked = [(door, door.endless()) for door in DOORS]
    found = together(fresh, asked, lambda: model_of(fresh).suspend(), **{"x-deadline-s": "3"})
    for door, heard in zip(DOORS, found, strict=True):
        assert (heard.status, heard.whole) == (200, True), door.name
        assert "nothing moved for 3 s" in heard.error, door.name
        answers_as_ever(fresh, door)  # what does not stop in time is killed


STAGES = ("head", "half", "waiting", "reading", "streaming", "whole")


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("door", DOORS[2:], ids=lambda each: each.name)
def test_a_caller_that_leaves_holds_nothing(own: Server, door: Door, stage: str) -> None:
    """At any stage of its request and of the answer."""
    body = {**door.endless(), "stream": stage != "whole"}
    sent = door.bare(body)
    head = sent.index(b"\r\n\r\n") + 4
    with own.client() as http:
        if stage == "head":
            leave(own, [sent[:head]] * 5)
        elif stage == "half":
            leave(own, [sent[: head + 20]] * 5)
        elif stage == "waiting":  # others have all places
            with connected(own) as a, connected(own) as b, connected(own) as c, connected(own) as d:
                for each in (a, b, c, d):
                    each.sendall(sent)
                    each.recv(4096)
                leave(own, [sent], lambda: in_use(http) > 4)
                until(lambda: in_use(http) <= 4, 2, "it has left")
        else:
            leave(own, [sent] * 3, lambda: in_use(http) > 0, read=stage != "reading")
        until(lambda: in_use(http) == 0, 2, "nothing is being made")
    answers_as_ever(own, door)


def leave(
    server: Server, sent: list[bytes], when: Any = lambda: True, *, read: bool = False
) -> None:
    """Send all of these, and be gone."""
    for each in sent:
        with connected(server) as sock:
            sock.sendall(each)
            until(when, 10, "it has begun")
            if read:
                sock.settimeout(0.2)
                try:
                    sock.recv(4096)
                except TimeoutError:
                    continue
