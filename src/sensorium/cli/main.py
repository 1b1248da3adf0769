"""The command line: people's commands, and one generated command for every operation.

Only what a command needs is loaded: a noun's operations when its name is typed, a module of
commands when one of them is.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter, Token, UnknownOptionError

from sensorium.cli import encoding
from sensorium.cli.render import MISUSED, guarded, note
from sensorium.core.loading import load
from sensorium.core.version import VERSION

HELP = """\
Reads logs, watches metrics and forecasts them, in this process or on a server.

Every operation is a command. It computes in this process, or on the server that --server names.
With --json any command prints its whole answer for programs."""

NOUNS = {
    "chat": "Conversations with a language model.",
    "logs": "Log lines: group them, compare them, watch them come.",
    "metrics": "Series of values: find anomalies, forecast.",
    "models": "Model files: fetch them, load them, run tensors and texts through them.",
    "pipelines": "Several operations and models as one call, declared in a file.",
    "resources": "Memory of devices, leased for a while by priority.",
    "system": "The server itself: health, operations, activity.",
    "text": "Texts that a language model goes on with.",
    "vision": "Pictures, told in words, and what is where in them.",
    "webrtc": "Connections over WebRTC, and rooms in which two browsers meet.",
}
"""What `sensorium --help` says of each noun without loading it."""

HUMAN = {
    "logs": {
        "cluster": ("sensorium.cli.logs:cluster", "Group the lines of log files into patterns."),
        "compare": ("sensorium.cli.logs:compare", "What is new, gone or changed between two logs."),
    },
    "models": {
        "list": ("sensorium.cli.models:show_list", "The models on disk."),
        "pull": ("sensorium.cli.models:pull", "Fetch a model."),
        "quantize": ("sensorium.cli.models:quantize", "Make a GGUF of a model in safetensors."),
        "load": ("sensorium.cli.models:load", "Load a model on a server, and keep it."),
        "ps": ("sensorium.cli.models:ps", "The models that a server has loaded."),
        "stop": ("sensorium.cli.models:stop", "Unload a model from a server."),
        "rm": ("sensorium.cli.models:rm", "Delete a model's files."),
        "show": ("sensorium.cli.models:show", "What a model is, takes and gives."),
    },
    "metrics": {
        "anomalies": (
            "sensorium.cli.metrics:anomalies",
            "Find anomalies in CSV, JSON or Prometheus.",
        ),
        "forecast": ("sensorium.cli.metrics:forecast", "How a metric goes on."),
    },
    "system": {
        "hardware": ("sensorium.cli.hardware:hardware", "What this machine can compute with."),
    },
    "vision": {
        "describe": ("sensorium.cli.vision:describe", "What is in a picture's file."),
    },
    "pipelines": {
        "run": ("sensorium.cli.pipelines:run", "Run a pipeline from a file, or a declared one."),
        "check": ("sensorium.cli.pipelines:check", "Say what is wrong with a pipeline."),
        "list": ("sensorium.cli.pipelines:show_list", "The declared pipelines."),
    },
}
"""Commands for people beside, and before, the generated ones of the same name."""

COMMANDS = {
    "call": ("sensorium.cli.call:call", "Call any operation with JSON."),
    "demo": (
        "sensorium.cli.demo:demo",
        "Send real input to every capability and show the answers.",
    ),
    "doctor": ("sensorium.cli.doctor:doctor", "Check this installation, and say how to mend it."),
    "run": ("sensorium.cli.run:run", "Chat with a language model in this terminal."),
    "mcp": ("sensorium.cli.stdio:mcp", "Serve operations as tools, on standard input and output."),
    "lock": ("sensorium.cli.lock:lock", "Number the fields of operations for gRPC."),
    "version": ("sensorium.cli.about:version", "Which version this is."),
}
GROUPS = {
    "config": (
        "Settings and where each came from.",
        {"show": ("sensorium.cli.config:show", "Every setting, its value and its origin.")},
    ),
    "native": (
        "Browsers that may start Sensorium for their extensions.",
        {
            "install": ("sensorium.cli.native:install", "Let an extension start Sensorium."),
            "uninstall": ("sensorium.cli.native:uninstall", "Take that back."),
        },
    ),
    "keys": (
        "API keys of a server on this machine.",
        {
            "create": ("sensorium.cli.keys:create", "Make a key, and print it this once."),
            "list": ("sensorium.cli.keys:show", "The keys there are."),
            "revoke": ("sensorium.cli.keys:revoke", "Make a key worthless."),
        },
    ),
}
OPTION = re.compile(r"--?[a-zA-Z]\S*")
SERVING, CALLING = "Server", "Operations"


def main(arguments: Sequence[str]) -> int:
    """Run a command; returns the exit status."""
    encoding.set_up_streams()
    texts = encoding.read(arguments)
    if texts is None:
        note("sensorium: an argument is not UTF-8 text")
        return MISUSED
    return guarded(lambda: run(texts))


def run(arguments: list[str]) -> object:
    """Run a command; a misused one is explained in one line."""
    arguments = _hyphened(arguments)
    app = build(arguments[:2])
    try:
        command, bound, _ = app.parse_args(arguments or ["--help"])
        _refuse_options(app, arguments, bound.args)
        return command(*bound.args, **bound.kwargs)
    except CycloptsError as error:
        note("sensorium: " + _one_line(error))
        return MISUSED


def build(wanted: Sequence[str] = ()) -> App:
    """The application, with the operations of the nouns that are wanted, or of all."""
    app = App(
        name="sensorium",
        help=HELP,
        version=VERSION,
        help_format="plaintext",
        result_action="return_value",
        print_error=False,
        exit_on_error=False,
        suppress_keyboard_interrupt=False,
    )
    app.register_install_completion_command(help="Complete commands and options in this shell.")
    app.command(serve, group=SERVING)
    app.command(health, group=SERVING)
    _add(app, COMMANDS, wanted)
    for name, (text, members) in GROUPS.items():
        group = App(name=name, help=text)
        _add(group, members, wanted[1:])
        app.command(group)
    _add_nouns(app, wanted)
    return app


def _add(app: App, commands: Mapping[str, tuple[str, str]], wanted: Sequence[str]) -> None:
    """Add commands that are loaded when wanted; one that is wanted says more of itself."""
    for name, (target, text) in commands.items():
        app.command(target, name=name, help=None if name in wanted[:1] else text)


def serve(*arguments: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> int:
    """Serve every operation over HTTP until Ctrl-C."""
    status: int = load("sensorium.cli.serve:main")(list(arguments))
    return status


def health() -> int:
    """Whether the server on this machine lives, as an exit status."""
    status: int = load("sensorium.cli.health:main")([])
    return status


def _add_nouns(app: App, wanted: Sequence[str]) -> None:
    """Every noun; only where one is called are its operations looked at.

    A first word that is neither a noun nor a command may be a plugin's noun. Completion scripts
    hold everything.
    """
    word = wanted[0] if wanted else "--help"
    known = {*NOUNS, *COMMANDS, *GROUPS, "serve", "health"}
    if word == "--install-completion":
        nouns = load("sensorium.cli.generated:nouns")()
    elif word in known or word.startswith("-"):
        nouns = dict(NOUNS)
    else:
        nouns = dict(NOUNS) | load("sensorium.cli.generated:nouns")()
    for noun, text in nouns.items():
        group = App(name=noun, help=NOUNS.get(noun, text), group=CALLING)
        _add(group, HUMAN.get(noun, {}), wanted[1:])
        if word in (noun, "--install-completion"):
            load("sensorium.cli.generated:add_operations")(group, noun)
        app.command(group)


def _hyphened(arguments: list[str]) -> list[str]:
    """The arguments, with hyphens in the verb: `metrics detect_anomalies` is taken too."""
    head = arguments[:2]
    if len(head) == 2 and head[0] not in COMMANDS and not head[1].startswith("-"):
        head[1] = head[1].replace("_", "-")
    return head + arguments[2:]


def _refuse_options(app: App, arguments: list[str], taken: Iterable[object]) -> None:
    """A question or a file may begin with a hyphen, and so may an option that there is none of.

    Raises:
        UnknownOptionError: one was taken for another argument. What comes after `--` is none.
    """
    chain, apps, _ = app.parse_commands(arguments)
    if "serve" in chain or "--" in arguments:
        return
    words = (str(word) for each in taken for word in (each if isinstance(each, list) else [each]))
    for word in words:
        if OPTION.fullmatch(word) and word in arguments:
            raise UnknownOptionError(
                token=Token(keyword=word.partition("=")[0], source="cli"),
                argument_collection=apps[-1].assemble_argument_collection(),
                command_chain=chain,
                verbose=False,
            )


def _one_line(error: CycloptsError) -> str:
    text = " ".join(str(error).partition("Available commands:")[0].split())
    return f"{text} See `{' '.join(['sensorium', *(error.command_chain or ())])} --help`."
