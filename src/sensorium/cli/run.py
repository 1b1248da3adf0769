"""`sensorium run`: a chat in the terminal, or one question and its answer."""

import inspect
import os
import stat
import sys
from contextlib import closing
from functools import partial
from typing import Annotated, Any

from cyclopts import Parameter

from sensorium.app import load_settings
from sensorium.capabilities.language.schema import DEFAULT
from sensorium.cli.answering import told_line, write_answer
from sensorium.cli.chatting import Chat
from sensorium.cli.connect import Target
from sensorium.cli.conversation import MAX_TOKENS, SETTINGS, Conversation
from sensorium.cli.generated import option
from sensorium.cli.questions import Questions
from sensorium.cli.render import Output, note
from sensorium.client import Sensorium
from sensorium.core.errors import ForbiddenError, InvalidInputError

HISTORY = "chat-history"
STDIN = "-"
Model = Annotated[str, Parameter(help="The model: org/name, a name or an alias.")]
Prompt = Annotated[
    str,
    Parameter(
        help="A question to answer once; - stands for what standard input holds.",
        allow_leading_hyphen=True,
    ),
]
MaxTokens = Annotated[int, Parameter(help="An answer ends after so many tokens.")]
System = Annotated[
    str, Parameter(help="What the model is told before all else.", show_default=False)
]
Verbose = Annotated[
    bool, Parameter(negative=(), show_default=False, help="Tell how long each answer took.")
]
PLAIN, HERE = Output(), Target()


def run(
    model: str = DEFAULT,
    *prompt: str,
    system: str = "",
    verbose: bool = False,
    target: Target = HERE,
    output: Output = PLAIN,
    **settings: Any,
) -> None:
    """Chat with a language model.

    With a question, or in a pipe, it answers once; what comes through the pipe follows the
    question. /help tells what can be typed in a chat.

    Examples:
        sensorium run
        sensorium run tinylm "What is the capital of France?"
        git diff | sensorium run org/model "Say in a line what this changes:"
        sensorium run org/model --temperature 0.2 --server http://127.0.0.1:8484
    """
    chosen = {name: value for name, value in settings.items() if value is not None}
    conversation = Conversation(model, system, **chosen)
    with target.client() as client:
        _introduce(client, model)
        if not prompt and not output.as_json and _is_typed():
            questions = Questions(load_settings().data_dir / HISTORY)
            with closing(questions):
                Chat(client, conversation, questions, verbose=verbose).hold()
            return
        request = conversation.request(_question(prompt))
        if output.as_json:
            output.value(client.chat.complete(**request))
            return
        with closing(client.chat.stream(**request)) as chunks:
            told = write_answer(chunks)
    if verbose and told is not None:
        note(told_line(told))


def _introduce(client: Sensorium, model: str) -> None:
    """Say so where a model is there for tests; fails at once where there is no such model."""
    try:
        entry = client.models.get(model=model).entry
    except ForbiddenError:  # a key may be for conversations alone
        return
    if entry.source == "sensorium":
        note(
            f"{entry.name} is a self-test model, no assistant; pull a real one: "
            "sensorium models pull hf://…"
        )


def _question(words: tuple[str, ...]) -> str:
    """The question, with what standard input holds: where a word stands for it, or at the end."""
    if STDIN in words or not words:
        text = " ".join(_piped() if word == STDIN else word for word in words or (STDIN,))
    else:
        piped = _piped() if _is_fed() else ""
        text = " ".join(words) + (f"\n\n{piped}" if piped.strip() else "")
    if not text.strip():
        raise InvalidInputError("there is no question: give one, or run it on a terminal to chat")
    return text


def _is_typed() -> bool:
    """Whether somebody sits at a terminal."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()


def _is_fed() -> bool:
    """Whether standard input is a pipe, a socket or a file: a device may never end."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (AttributeError, OSError, ValueError):  # it is closed, or none
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)


def _piped() -> str:
    return "" if sys.stdin is None else sys.stdin.read()


def _sign() -> None:
    """Give `run` an option for each field of `Sampling` that an option can hold."""
    only = partial(inspect.Parameter, kind=inspect.Parameter.KEYWORD_ONLY)
    others = [field for name, field in SETTINGS.items() if name != "max_tokens"]
    options = {field.name: made for field in others if (made := option(field))}
    parameters = [
        inspect.Parameter(
            "model", inspect.Parameter.POSITIONAL_ONLY, default=DEFAULT, annotation=Model
        ),
        inspect.Parameter("prompt", inspect.Parameter.VAR_POSITIONAL, annotation=Prompt),
        only("system", default="", annotation=System),
        only("verbose", default=False, annotation=Verbose),
        only("max_tokens", default=MAX_TOKENS, annotation=MaxTokens),
        *(only(name, default=None, annotation=kind) for name, kind in options.items()),
        only("target", default=HERE, annotation=Target),
        only("output", default=PLAIN, annotation=Output),
    ]
    run.__dict__["__signature__"] = inspect.Signature(parameters)
    run.__annotations__ = {each.name: each.annotation for each in parameters}


_sign()
