"""What the tests of OpenAI's door have in common."""

import json
from pathlib import Path
from typing import Any

import openai

from tests.servers import Server

MODEL = "tinylm"
GREEDY = json.loads((Path(__file__).parent / "greedy_hf.json").read_text())
FRANCE = "What is the capital of France?"
PARIS = "The capital of France is Paris."
WEATHER = "What is the weather in Paris?"
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGA"
    "WjR9awAAAABJRU5ErkJggg=="
)


def connect(server: Server, key: str = "any", **options: Any) -> openai.OpenAI:
    """The official client, which tries nothing twice."""
    given = {"max_retries": 0, "timeout": 60.0, **options}
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, **given)


def said(text: str, role: str = "user") -> Any:
    """A conversation of one message."""
    return [{"role": role, "content": text}]
