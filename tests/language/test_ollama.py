"""Ollama's own client, at the HTTP door."""

import base64
import json
import math
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import ollama
import pytest

from sensorium.capabilities.language.schema import Answer, Chunk, ConversationResponse
from sensorium.control.keys import KeyStore
from sensorium.core.conversation import Message, ToolCall, ToolCallPart
from sensorium.core.errors import SensoriumError
from sensorium.models.catalogue.shelves import SAMPLES
from sensorium.transports.http.compat.ollama.names import ours, reference, seconds, theirs
from tests.faults.observing import in_flight, until
from tests.language.scripted import TOLD, Script, scripted
from tests.servers import Server, serving

ASK = "What is the capital of France?"
QUESTION = [{"role": "user", "content": ASK}]
ANSWER = "The capital of France is Paris."
GREEDY = {"temperature": 0, "repeat_penalty": 1.0}
FILE = SAMPLES / "tinylm" / "tinylm-q8_0.gguf"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\nand so on").decode()
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


def client(server: Server | str, key: str = "") -> ollama.Client:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return ollama.Client(server if isinstance(server, str) else server.url, headers=headers)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of its own: models come and go. It may pull this machine's files."""
    source = tmp_path_factory.mktemp("source") / "fox.gguf"
    shutil.copy(FILE, source)
    with serving(environ={"SENSORIUM_PULL_FILES": "true"}) as server:
        server.data_dir.joinpath("source").symlink_to(source.parent)
        yield server


@pytest.fixture
def connect() -> Iterator[Callable[..., ollama.Client]]:
    """Clients of a server, closed at the end."""
    with ExitStack() as opened:
        yield lambda *given: opened.enter_context(client(*given))


@pytest.fixture(scope="module")
def asked(server: Server) -> Iterator[ollama.Client]:
    with client(server) as found:
        yield found


@pytest.fixture
def played() -> Iterator[tuple[Script, ollama.Client]]:
    with scripted() as (script, url), client(url) as found:
        yield script, found


def posted(server: Server, path: str, body: dict[str, Any] | bytes) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(f"{server.url}/api/{path}", content=content, timeout=30)


def refused(ask: Callable[[], Any]) -> ollama.ResponseError:
    with pytest.raises(ollama.ResponseError) as raised:
        ask()
    return raised.value


def test_chat(asked: ollama.Client) -> None:
    found = asked.chat("tinylm", QUESTION, options=GREEDY)
    assert (found.message.role, found.message.content) == ("assistant", ANSWER)
    assert (found.model, found.done, found.done_reason) == ("tinylm", True, "stop")
    assert abs(datetime.now(UTC).timestamp() - _time(found.created_at)) < 60
    assert (found.prompt_eval_count, found.eval_count) == (13, 11)
    assert found.total_duration > found.eval_duration > 0
    assert found.total_duration >= found.prompt_eval_duration > 0
    assert found.load_duration == 0


def test_a_stream_is_the_same_as_the_whole(asked: ollama.Client) -> None:
    lines = list(asked.chat("tinylm:latest", QUESTION, stream=True, options=GREEDY))
    assert "".join(each.message.content for each in lines) == ANSWER
    assert [each.done for each in lines] == [False] * (len(lines) - 1) + [True]
    assert (lines[-1].done_reason, lines[-1].eval_count) == ("stop", 11)
    assert lines[-1].total_duration > 0
    assert {each.model for each in lines} == {"tinylm:latest"}


def test_a_stream_is_what_comes_where_nothing_is_said(server: Server) -> None:
    answer = posted(server, "chat", {"model": "tinylm", "messages": QUESTION, "options": GREEDY})
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert all(json.loads(line)["model"] == "tinylm" for line in answer.text.splitlines())


def test_generate(asked: ollama.Client) -> None:
    found = asked.generate("tinylm", ASK, options=GREEDY)
    assert (found.response, found.done_reason) == (ANSWER, "stop")
    lines = list(asked.generate("tinylm", ASK, system="", stream=True, options=GREEDY))
    assert "".join(each.response for each in lines) == ANSWER
    short = {**GREEDY, "num_predict": 3, "num_ctx": 64, "mirostat": 0}
    raw = asked.generate("tinylm", "Once upon a time", raw=True, options=short)
    assert (raw.done_reason, raw.eval_count, raw.prompt_eval_count) == ("length", 3, 5)
    assert asked.generate("tinylm", ASK, options={**GREEDY, "stop": " of"}).response == (
        "The capital"
    )


def test_the_options_that_count(asked: ollama.Client) -> None:
    def story(**options: Any) -> str:
        text = asked.generate("tinylm", "Once upon a time", raw=True, options=options).response
        assert text
        return str(text)

    wild = {"temperature": 1.5, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "num_predict": 30}
    assert story(**wild, seed=7) == story(**wild, seed=7)
    assert story(**wild, seed=7) != story(**wild, seed=8)
    assert story(**wild | {"top_k": 1}) == story(**wild | {"top_k": 1})


def test_a_format_holds_the_answer(asked: ollama.Client) -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"enum": [1, 2]}},
        "required": ["n"],
        "additionalProperties": False,
    }
    found = asked.chat("tinylm", QUESTION, format=schema, options=GREEDY)
    assert json.loads(found.message.content)["n"] in (1, 2)
    loose = asked.chat("tinylm", QUESTION, format="json", options={**GREEDY, "num_predict": 200})
    assert loose.message.content.startswith("{")
    error = refused(lambda: asked.chat("tinylm", QUESTION, format={"type": "nonsense"}))
    assert error.status_code == 400


def test_logprobs(asked: ollama.Client) -> None:
    found = asked.chat("tinylm", QUESTION, logprobs=True, top_logprobs=2, options=GREEDY)
    assert "".join(each.token for each in found.logprobs).strip() == ANSWER
    assert all(len(each.top_logprobs) == 2 for each in found.logprobs)


def test_embed(asked: ollama.Client) -> None:
    found = asked.embed("default-embedding", ["a red fox", "a quick animal"])
    assert len(found.embeddings) == 2
    assert math.isclose(sum(each**2 for each in found.embeddings[0]), 1, rel_tol=1e-3)
    assert found.prompt_eval_count > 0
    assert found.total_duration > 0
    one = asked.embed("default-embedding", "a red fox", dimensions=8)
    assert len(one.embeddings[0]) == 8
    old = asked.embeddings("default-embedding", "a red fox").embedding
    assert old == pytest.approx(found.embeddings[0], abs=1e-3)
    for nothing in ([], ""):
        assert asked.embed("default-embedding", nothing).embeddings == []


def test_of_what_is_too_long_to_embed_the_beginning_counts(asked: ollama.Client) -> None:
    model, long = "default-embedding", "word " * 2000
    found = asked.embed(model, [long, "a red fox"])
    assert found.prompt_eval_count == 256 + asked.embed(model, "a red fox").prompt_eval_count
    for kept, read in ((255, 256), (256, 256)):  # a token begins each text
        beginning = asked.embed(model, long[: 5 * kept - 1])
        assert beginning.prompt_eval_count == read
        assert beginning.embeddings[0] == pytest.approx(found.embeddings[0], abs=1e-3)
    assert asked.embeddings(model, long).embedding == pytest.approx(found.embeddings[0], abs=1e-3)
    error = refused(lambda: asked.embed(model, long, truncate=False))
    assert (error.status_code, "takes 256" in error.error) == (400, True)


def test_what_there_is(asked: ollama.Client) -> None:
    listed = {each.model: each for each in asked.list().models}
    assert {"tinylm:latest", "default:latest"} <= listed.keys()
    assert not any("machine-state" in name for name in listed)  # it knows no language
    assert listed["tinylm:latest"].size == FILE.stat().st_size
    assert listed["tinylm:latest"].details.format == "gguf"
    for name in ("tinylm", "tinylm:latest", "default:latest"):
        assert asked.chat(name, QUESTION, options=GREEDY).message.content == ANSWER
        shown = asked.show(name)
        assert shown.details.format == "gguf"
        assert "completion" in shown.capabilities
        assert (shown.details.family, shown.details.quantization_level) == ("llama", "Q8_0")
        assert shown.details.parameter_size == "2.9M"
        assert shown.modelinfo["llama.context_length"] == 256
        assert "{%" in shown.template
    assert asked.show("machine-life").capabilities == []
    assert asked.show("machine-life").modelinfo.keys() == {"general.basename", "general.license"}


def test_whoever_asks_for_versions_hears_one(server: Server) -> None:
    for method in ("GET", "HEAD"):
        assert httpx.request(method, f"{server.url}/api/version").status_code == 200
    version = httpx.get(f"{server.url}/api/version").json()["version"]
    assert tuple(map(int, version.split("."))) > (0, 6, 4)


def test_keep_alive(own: Server, connect: Callable[..., ollama.Client]) -> None:
    found = connect(own)

    def left_s() -> float | None:
        expires = [each.expires_at.timestamp() for each in found.ps().models]
        return expires[0] - time.time() if expires else None

    assert found.generate("tinylm", "", keep_alive="1h30m").done_reason == "load"
    assert 5000 < (left_s() or 0) <= 5400
    assert found.ps().models[0].size > 0
    found.chat("tinylm", QUESTION, keep_alive=-1, options=GREEDY)
    assert (left_s() or 0) > 1e8
    list(found.chat("tinylm", QUESTION, stream=True, keep_alive="90s", options=GREEDY))
    assert 60 < (left_s() or 0) <= 90
    found.chat("tinylm", QUESTION, keep_alive=0, options=GREEDY)
    assert left_s() is None
    list(found.generate("tinylm", ASK, stream=True, keep_alive="0", options=GREEDY))
    assert left_s() is None
    found.embed("tinylm", "x", keep_alive=70)
    assert 60 < (left_s() or 0) <= 70
    assert found.chat("tinylm", [], keep_alive=0).done_reason == "unload"
    assert found.chat("tinylm", [], keep_alive=0).done_reason == "unload"
    assert left_s() is None
    for ask in (lambda: found.generate("no", "", keep_alive=0), lambda: found.generate("no", "")):
        assert str(refused(ask)) == "model 'no' not found (status code: 404)"


def test_who_may_not_change_models_has_an_answer_all_the_same(
    tmp_path: Path, connect: Callable[..., ollama.Client]
) -> None:
    store = KeyStore(tmp_path)
    _, talks = store.create("talks", ("chat.*", "models.list"))
    _, seldom = store.create("seldom", ("*",), 0.001)
    with serving(environ={"SENSORIUM_DATA_DIR": str(tmp_path)}) as locked:
        found = connect(locked, talks)
        for keep in (0, "5s", -1):
            answer = found.chat("tinylm", QUESTION, keep_alive=keep, options=GREEDY)
            assert answer.message.content == ANSWER
        assert len(found.ps().models) == 1
        assert refused(lambda: found.generate("tinylm", "")).status_code == 403
        assert refused(lambda: found.delete("tinylm")).status_code == 403
        assert refused(lambda: found.pull("minilm")).status_code == 403
        once = connect(locked, seldom)
        assert once.chat("tinylm", QUESTION, keep_alive="5s").message.content
        assert refused(lambda: once.chat("tinylm", QUESTION)).status_code == 429
        for key in ("", "wrong"):
            assert refused(lambda key=key: connect(locked, key).list()).status_code == 401


def test_pull_and_delete(own: Server, connect: Callable[..., ollama.Client]) -> None:
    found = connect(own)
    source = f"file://{(own.data_dir / 'source').resolve()}/fox.gguf"
    told = list(found.pull(source, stream=True))
    assert (told[0].status, told[-1].status) == ("pulling manifest", "success")
    bars = [each for each in told if each.digest]
    assert all(each.digest.startswith("sha256:") for each in bars)
    assert all(0 <= each.completed <= each.total for each in bars)
    assert found.pull(source).status == "success"
    assert "fox:latest" in {each.model for each in found.list().models}
    assert found.chat("fox:latest", QUESTION, options=GREEDY).message.content == ANSWER
    assert found.delete("fox:latest").status == "success"
    assert "fox:latest" not in {each.model for each in found.list().models}
    error = refused(lambda: found.delete("fox"))
    assert (error.status_code, error.error) == (404, "model 'fox' not found")
    assert refused(lambda: found.delete("tinylm")).status_code == 409


@pytest.mark.parametrize(
    "name", ["file:///no/such/file.gguf", "no-such-model", "hf.co/org/name:q4", ""]
)
def test_a_pull_that_fails(name: str, own: Server) -> None:
    with client(own) as found:
        for stream in (False, True):
            body = {"model": name, "stream": stream}
            answer = posted(own, "pull", body)
            last = json.loads(answer.text.splitlines()[-1])
            assert last["error"]
            assert "/no/such" not in last["error"]
        assert answer.status_code == 400 or name
        assert refused(lambda: list(found.pull(name or "x y", stream=True))).error


def test_what_was_said_arrives(played: tuple[Script, ollama.Client]) -> None:
    script, found = played
    script.whole = ConversationResponse(choices=[Answer(message=Message(role="a"), finish="stop")])
    call = {"function": {"name": "get_weather", "arguments": {"city": "Paris"}}}
    found.chat(
        "org/model:q4",
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "look", "images": [PNG, PNG]},
            {"role": "assistant", "thinking": "hm", "tool_calls": [call]},
            {"role": "tool", "content": "rain", "tool_name": "get_weather"},
        ],
        tools=[TOOL],
        options={"num_predict": -1, "seed": -1, "presence_penalty": 0.5, "frequency_penalty": 1},
    )
    got = script.last("chat.complete")
    picture = {"data": base64.b64decode(PNG)}
    said = {"name": "get_weather", "arguments": '{"city":"Paris"}', "id": ""}
    assert got["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "look", "images": [picture, picture]},
        {"role": "assistant", "reasoning": "hm", "tool_calls": [said]},
        {"role": "tool", "content": "rain", "name": "get_weather"},
    ]
    parameters = got["tools"][0]["parameters"]
    assert parameters["properties"]["city"]["type"] == "string"
    usual = {"model": "org/model:q4", "max_tokens": 4096, "seed": None, "temperature": 0.8}
    usual |= {"top_k": 40, "top_p": 0.9, "min_p": 0.0, "repeat_penalty": 1.1}
    usual |= {"presence_penalty": 0.5, "frequency_penalty": 1.0}
    assert {name: got[name] for name in usual} == usual
    found.generate("m", "look", system="Be brief.", images=[PNG])
    seen = {"role": "user", "content": "look", "images": [picture]}
    assert script.last("chat.complete")["messages"] == [got["messages"][0], seen]


@pytest.mark.parametrize("arguments", [None, {}, ""])
def test_a_call_of_nothing(arguments: Any, played: tuple[Script, ollama.Client]) -> None:
    script, found = played
    script.whole = ConversationResponse(choices=[Answer(message=Message(role="a"), finish="stop")])
    call = {"function": {"name": "look", "arguments": arguments}}
    said = {"role": "assistant", "tool_calls": [call]}
    body = {"model": "m", "messages": [*QUESTION, said], "stream": False}
    assert found._client.post("/api/chat", json=body).status_code == 200
    assert script.last("chat.complete")["messages"][1]["tool_calls"][0]["arguments"] == "{}"


def test_options_as_some_write_them(played: tuple[Script, ollama.Client]) -> None:
    script, found = played
    script.whole = ConversationResponse(choices=[Answer(message=Message(role="a"), finish="stop")])
    options = {"num_predict": 5.0, "top_k": -1, "seed": 7.0}
    found.chat("m", QUESTION, options=options)
    body = {"model": "m", "messages": QUESTION, "stream": False, "options": options}
    assert found._client.post("/api/chat", json=body).status_code == 200
    for _, got in script.asked:
        assert (got["max_tokens"], got["top_k"], got["seed"]) == (5, 0, 7)


def test_thoughts_and_calls_of_tools(played: tuple[Script, ollama.Client]) -> None:
    script, found = played
    call = ToolCall(id="c1", name="get_weather", arguments='{"city":"Paris"}')
    said = Message(role="assistant", content="Look.", reasoning="Hm.", tool_calls=[call])
    script.whole = ConversationResponse(choices=[Answer(message=said, finish="tool_calls")])
    script.chunks = [
        Chunk(reasoning="Hm."),
        Chunk(text="Look."),
        Chunk(tool_calls=[ToolCallPart(id="c1", name="get_weather", arguments='{"ci')]),
        Chunk(tool_calls=[ToolCallPart(arguments='ty":"Paris"}')], finish="tool_calls"),
        TOLD,
    ]
    whole = found.chat("m", QUESTION, tools=[TOOL], think=True)
    lines = list(found.chat("m", QUESTION, tools=[TOOL], think=True, stream=True))
    called = [each for each in lines if each.message.tool_calls]
    for answer in (whole, *called):
        assert answer.message.tool_calls[0].function.name == "get_weather"
        assert answer.message.tool_calls[0].function.arguments == {"city": "Paris"}
    assert len(called) == 1
    assert (whole.message.thinking, whole.message.content) == ("Hm.", "Look.")
    assert (lines[0].message.thinking, lines[1].message.content) == ("Hm.", "Look.")
    assert (whole.done_reason, lines[-1].done_reason) == ("stop", "stop")
    assert found.generate("m", "x").thinking == "Hm."
    assert found.chat("m", QUESTION, think=False).message.thinking is None
    silent = list(found.chat("m", QUESTION, think=False, stream=True))
    assert not any(each.message.thinking for each in silent)


def test_an_error_in_the_middle_of_a_stream(played: tuple[Script, ollama.Client]) -> None:
    script, found = played
    script.chunks = [Chunk(text="so far"), SensoriumError("the model died")]
    lines = found.chat("m", QUESTION, stream=True)
    assert next(lines).message.content == "so far"
    assert refused(lambda: next(lines)).error == "the model died"
    script.whole = SensoriumError("the model died")
    assert refused(lambda: found.chat("m", QUESTION)).status_code == 500


def test_whoever_leaves_frees_the_slot(played: tuple[Script, ollama.Client]) -> None:
    script, found = played
    script.chunks = [Chunk(text="and then nothing")]
    lines = found.generate("m", "x", stream=True)
    assert next(lines).response == "and then nothing"
    lines.close()
    assert script.left.wait(30)


def test_no_call_is_left_behind(server: Server, asked: ollama.Client) -> None:
    lines = asked.generate("tinylm", "Once upon a time", raw=True, stream=True)
    next(lines)
    lines.close()
    with server.client() as http:
        until(lambda: in_flight(http, "text.stream") == 0, 2)


@pytest.mark.parametrize("path", ["chat", "generate", "embed", "embeddings", "show"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_model_that_is_not_there(path: str, stream: bool, server: Server) -> None:
    body = {"model": "x:latest", "stream": stream, "prompt": "a", "input": "a"}
    answer = posted(server, path, {**body, "messages": QUESTION})
    assert answer.status_code == 404
    assert answer.json() == {"error": "model 'x:latest' not found"}


@pytest.mark.parametrize(
    ("path", "more", "says"),
    [
        ("chat", {"model": 3}, "model: Expected `str`"),
        ("chat", {"model": ""}, "model: a name is required"),
        ("chat", {"messages": "x"}, "messages: Expected `array"),
        ("chat", {"messages": [{"content": "x"}]}, "messages[0].role: Object missing"),
        ("chat", {"options": {"temperature": "hot"}}, "options.temperature: Expected"),
        ("chat", {"options": {"temperature": 99}}, "temperature: Expected `float` <= 5"),
        ("chat", {"format": "xml"}, "format: it is 'json'"),
        ("chat", {"keep_alive": "soon"}, "keep_alive: say it as"),
        ("chat", {"keep_alive": 1e12}, "keep_alive: that is too long"),
        ("chat", {"tools": [{"type": "function"}]}, "tools[0].function: Object missing"),
        ("chat", {"messages": [{"role": "user", "images": ["!!"]}]}, "messages[0].images[0]"),
        ("generate", {"prompt": "a", "suffix": "b"}, "suffix:"),
        ("generate", {"prompt": "a", "template": "b"}, "template:"),
        ("generate", {"prompt": "a", "context": [1]}, "context:"),
        ("generate", {"prompt": "a", "raw": True, "system": "b"}, "raw:"),
        ("generate", {"prompt": "a", "images": [PNG[4:]]}, "images[0]:"),
        ("embed", {"input": 3}, "input: Expected"),
        ("embed", {"input": [3]}, "input[0]: Expected"),
        ("embed", {"input": ["x"] * 5000}, "input: Expected"),
        ("chat", {"options": {"num_predict": 1e300}}, "options.num_predict: "),
        ("show", {"model": ""}, "a name is required"),
    ],
)
def test_what_is_wrong_is_said(path: str, more: dict[str, Any], says: str, server: Server) -> None:
    usual = {"model": "tinylm", "messages": QUESTION, "no_such_field": [1]}
    answer = posted(server, path, {**usual, **more})
    assert answer.status_code == 400
    assert says in answer.json()["error"]


def test_what_is_no_json_or_too_much(server: Server, asked: ollama.Client) -> None:
    for body in (b"{", b"", b"\xff\xfe", b"[" * 100_000):
        answer = posted(server, "chat", body)
        assert answer.status_code == 400
        assert answer.json()["error"]
    for size in (10_000_000, 40_000_000):
        error = refused(lambda size=size: asked.generate("tinylm", "x" * size))
        assert error.status_code in (400, 413)
    assert asked.chat("tinylm", QUESTION, options=GREEDY).message.content == ANSWER


def test_other_addresses(server: Server) -> None:
    for method, path, status in (
        ("GET", "chat", 405),
        ("POST", "tags", 405),
        ("POST", "delete", 405),
        ("POST", "create", 404),
        ("POST", "nonsense", 404),
    ):
        answer = httpx.request(method, f"{server.url}/api/{path}")
        assert answer.status_code == status
        assert answer.json().keys() == {"error"}
    trend = posted(server, "trend", {"series": {"values": [1, 2, 3, 4, 5, 6, 7, 8]}, "horizon": 2})
    assert "error" not in trend.json()
    for path in ("clustering", "anomaly", "trend"):
        assert posted(server, path, b"{").headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("theirs_", "ours_"),
    [
        ("tinylm", "tinylm"),
        ("tinylm:latest", "tinylm"),
        ("org/name:q4", "org/name:q4"),
        ("hf.co/org/name:Q4_K_M", "org/name:Q4_K_M"),
    ],
)
def test_names(theirs_: str, ours_: str) -> None:
    assert ours(theirs_) == ours_
    assert reference(theirs_).removeprefix("hf://") == ours_
    assert theirs("org--name") == "org/name:latest"
    assert theirs("org--name:q4") == "org/name:q4"


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (None, None),
        ("", None),
        (0, 0),
        ("0", 0),
        (2.5, 2.5),
        ("300", 300),
        ("5m", 300),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("100ms", 0.1),
        (-1, -1),
        ("-1", -1),
        ("-5m", -1),
    ],
)
def test_times(given: float | str | None, found: float | None) -> None:
    assert seconds(given) == found


def _time(text: str | None) -> float:
    assert text is not None
    return datetime.fromisoformat(text).timestamp()
