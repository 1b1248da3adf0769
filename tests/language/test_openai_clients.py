"""Other clients of OpenAI's API: langchain, litellm, and those for Node."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import missing
from tests.language.openai_words import FRANCE, MODEL, PARIS, TOOL, WEATHER
from tests.servers import Server

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or it would be fetched at its import
NODE = Path(__file__).parent / "node"
pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:pydantic"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module", autouse=True)
def loop() -> Iterator[None]:
    """The loop that litellm would make for itself, and never close."""
    made = asyncio.new_event_loop()
    asyncio.set_event_loop(made)
    yield
    asyncio.set_event_loop(None)
    made.close()


def langchain(server: Server, **more: Any) -> Any:
    from langchain_openai import ChatOpenAI

    options = {"model": MODEL, "temperature": 0, "max_retries": 0, **more}
    return ChatOpenAI(base_url=f"{server.url}/v1", api_key="x", **options)


@pytest.mark.parametrize("responses", [False, True])
def test_langchain_answers_and_streams(server: Server, responses: bool) -> None:
    model = langchain(server, use_responses_api=responses, stream_usage=True)
    whole = model.invoke(FRANCE)
    assert whole.text == PARIS
    assert whole.usage_metadata["output_tokens"] > 0
    parts = list(model.stream([("system", "Be short."), ("human", FRANCE)]))
    assert "".join(part.text for part in parts)
    assert any(part.usage_metadata for part in parts)
    assert [each.text for each in model.batch([FRANCE, FRANCE])] == [PARIS, PARIS]


def test_langchain_reads_structured_answers(server: Server) -> None:
    schema = {
        "title": "category",
        "type": "object",
        "properties": {
            "category": {"type": "string"},
            "level": {"type": "string"},
            "service": {"type": "string"},
        },
        "required": ["category", "level", "service"],
        "additionalProperties": False,
    }
    model = langchain(server).with_structured_output(schema, method="json_schema")
    line = "Classify this log line as JSON: ERROR billing: connection refused to db1:5432"
    assert set(model.invoke(line)) == {"category", "level", "service"}


def test_langchain_calls_tools(server: Server) -> None:
    (call,) = langchain(server).bind_tools([TOOL]).invoke(WEATHER).tool_calls
    assert (call["name"], call["args"]) == ("get_weather", {"city": "Paris"})


def test_langchain_knows_what_is_too_long(server: Server) -> None:
    from langchain_openai.chat_models.base import OpenAIContextOverflowError

    with pytest.raises(OpenAIContextOverflowError):
        langchain(server).invoke("word " * 2000)


def test_langchain_goes_on_with_texts_and_embeds(server: Server) -> None:
    from langchain_openai import OpenAI, OpenAIEmbeddings

    given: Any = {"model": MODEL, "base_url": f"{server.url}/v1", "api_key": "x"}
    texts = OpenAI(**given, temperature=0, max_tokens=8, max_retries=0)
    told = texts.generate(["Once upon a time", "The capital of"])
    assert len(told.generations) == 2
    assert "".join(texts.stream("Once upon a time")) == told.generations[0][0].text
    embeddings = OpenAIEmbeddings(**given, check_embedding_ctx_length=False)
    vectors = embeddings.embed_documents(["a red fox", "a quick animal"])
    assert [len(each) for each in vectors] == [256, 256]


def test_litellm_answers_streams_and_embeds(server: Server) -> None:
    import litellm

    given: Any = {"model": f"openai/{MODEL}", "api_base": f"{server.url}/v1", "api_key": "x"}
    asked: Any = {**given, "messages": [{"role": "user", "content": FRANCE}], "temperature": 0}
    whole: Any = litellm.completion(**asked)
    assert whole.choices[0].message.content == PARIS
    stream: Any = litellm.completion(**asked, stream=True, stream_options={"include_usage": True})
    *chunks, last = stream
    assert "".join(each.choices[0].delta.content or "" for each in chunks if each.choices) == PARIS
    assert last.usage.completion_tokens == whole.usage.completion_tokens
    vectors: Any = litellm.embedding(**given, input=["a red fox", "an animal"])
    assert [len(each["embedding"]) for each in vectors.data] == [256, 256]
    told: Any = litellm.responses(**given, input=FRANCE, temperature=0)
    assert told.output[0].content[0].text == PARIS


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"model": "openai/nope"}, "NotFoundError"),
        ({"max_tokens": 0}, "BadRequestError"),
        ({"messages": [{"role": "user", "content": "word " * 2000}]}, "ContextWindowExceededError"),
    ],
)
def test_litellm_tells_errors_apart(server: Server, asked: Any, error: str) -> None:
    import litellm

    with pytest.raises(getattr(litellm, error)):
        litellm.completion(
            **{
                "model": f"openai/{MODEL}",
                "api_base": f"{server.url}/v1",
                "api_key": "x",
                "messages": [{"role": "user", "content": FRANCE}],
                "max_retries": 0,
                **asked,
            }
        )


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the clients for Node, as their lock file has them."""
    if shutil.which("npm") is None:
        missing("npm")
    folder = tmp_path_factory.mktemp("node")
    for each in NODE.glob("*.*"):
        shutil.copy(each, folder)
    quiet = ("--no-audit", "--no-fund", "--ignore-scripts")
    done = subprocess.run(
        ["npm", "ci", *quiet],
        cwd=folder,
        env={**os.environ, "npm_config_update_notifier": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.parametrize("client", ["openai", "ai"])
def test_the_clients_for_node(server: Server, node: Path, client: str) -> None:
    done = subprocess.run(
        ["node", "--test", f"{client}.test.mjs"],
        cwd=node,
        env={**os.environ, "SENSORIUM_URL": server.url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
