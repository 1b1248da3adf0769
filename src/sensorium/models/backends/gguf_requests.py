"""A task as llama.cpp's server takes it."""

from typing import Any

from sensorium.core.generation import Generation
from sensorium.models.backends.gguf_schema import grammar_of
from sensorium.models.backends.openai_form import openai_messages, openai_tools


def text_request(task: Generation) -> dict[str, Any]:
    """A request to go on with the task's prompt.

    Raises:
        InvalidInputError: the schema or the grammar is none.
    """
    return {**_sampling(task), "prompt": task.prompt}


def chat_request(task: Generation) -> dict[str, Any]:
    """A request to answer in the task's conversation; errors as for `text_request`."""
    request = {**_sampling(task), "messages": openai_messages(task.messages)}
    if task.tools:
        request |= {"tools": openai_tools(task.tools), "parallel_tool_calls": task.parallel_tools}
    return request


def _sampling(task: Generation) -> dict[str, Any]:
    request: dict[str, Any] = {
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,  # so that it asks after each batch whether the text is wanted
        "max_tokens": task.max_tokens,
        "n_predict": task.max_tokens,
        "temperature": task.temperature,
        "top_p": task.top_p,
        "top_k": task.top_k,
        "min_p": task.min_p,
        "repeat_penalty": task.repeat_penalty or 1.0,  # 0 is none, too, and refused
        "presence_penalty": task.presence_penalty,
        "frequency_penalty": task.frequency_penalty,
        "logit_bias": [[int(token), bias] for token, bias in task.logit_bias.items()],
    }
    if task.stop:  # which are looked for here: the library would not tell which one it was
        request["timings_per_token"] = True
    if task.seed is not None:
        request["seed"] = task.seed
    if task.logprobs:
        request |= {"logprobs": True, "top_logprobs": task.logprobs, "n_probs": task.logprobs}
    if task.json_schema:
        request["grammar"] = grammar_of(task.json_schema)
    elif task.grammar:
        request["grammar"] = task.grammar
    return request
