"""Texts of llama.cpp's library itself, called as our backend calls it, by nothing but threads.

python -m benchmarks.texts_raw MODEL PARALLEL THREADS
"""

import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import xllamacpp

from benchmarks.texts import BIAS, END, Ask, Text, answer, asked, prompt
from sensorium.models.artifact import Artifact
from sensorium.models.backends.base import LoadOptions
from sensorium.models.backends.gguf_engine import parameters
from sensorium.models.headers.reading import read_header


def serve(path: Path, parallel: int, threads: int) -> None:
    """Make what is asked for, until nothing more is."""
    artifact = Artifact("model", "1", "gguf", path)
    options = LoadOptions(parallel=parallel, threads=threads)
    made = parameters(artifact, options, read_header(artifact), embeds=False)
    with tempfile.TemporaryDirectory() as folder:
        made.hostnames = [str(Path(folder, "llama.sock"))]
        engine = xllamacpp.Server(made)
        for ask in asked():
            answer(_all(engine, ask))
    os._exit(0)


def _all(engine: Any, ask: Ask) -> list[Text]:
    found: list[Text] = []
    streams = [
        threading.Thread(target=_stream, args=(engine, ask, number, found))
        for number in range(ask.streams)
    ]
    for each in streams:
        each.start()
    for each in streams:
        each.join()
    return found


def _stream(engine: Any, ask: Ask, number: int, found: list[Text]) -> None:
    for count in range(ask.texts):
        question = prompt(ask.first + number * ask.texts + count)
        found.append(_text(engine, ask, number, question))


def _text(engine: Any, ask: Ask, number: int, question: str) -> Text:
    text = Text(stream=number, asked=time.perf_counter())

    def hear(chunk: dict[str, Any]) -> bool:
        now = time.perf_counter()
        for choice in chunk.get("choices", ()):
            if choice["delta"].get("content"):
                text.first = text.first or now
                text.pieces += 1
                text.last = now
        if usage := chunk.get("usage"):
            text.tokens = usage["completion_tokens"]
        return False

    engine.handle_chat_completions(
        {
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_progress": True,
            "max_tokens": ask.max_tokens,
            "temperature": 0.8,
            "top_p": 0.95,
            "top_k": 40,
            "min_p": 0.05,
            "seed": 1,
            "logit_bias": [[END, BIAS]],
            "messages": [{"role": "user", "content": question}],
        },
        hear,
    )
    return text


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
