"""A chat on a terminal: questions, answers as they come, and commands that begin with a slash."""

import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType

from sensorium.cli.answering import harmless, told_line, write_answer
from sensorium.cli.conversation import SETTINGS, Conversation
from sensorium.cli.questions import Questions
from sensorium.cli.render import note, said
from sensorium.cli.terminal import paint
from sensorium.client import Sensorium
from sensorium.core.errors import InvalidInputError, SensoriumError

HELP = """\
/set NAME VALUE   how answers are made, such as /set temperature 0.2; without VALUE: as usual
/set system TEXT  what the model is told before all else; also: model, verbose on
/show             the model, the settings and what was said
/clear            forget what was said
/save FILE        keep the conversation in a file
/load FILE        go on with one that was saved
/bye              leave; so does Ctrl-D

\"\"\" begins a text of several lines and ends it; so does a \\ at a line's end for the next line.
Ctrl-C stops an answer."""
OTHERS = ("system", "model", "verbose")
"""What can be set beside the fields of `Sampling`."""
ON, OFF = ("on", "true", "yes"), ("", "off", "false", "no")
AGAIN = "(Ctrl-C again, Ctrl-D or /bye to leave)"


class Chat:
    """A conversation that somebody types."""

    def __init__(
        self, client: Sensorium, conversation: Conversation, questions: Questions, *, verbose: bool
    ) -> None:
        self._client = client
        self._conversation = conversation
        self._questions = questions
        self._verbose = verbose
        self._left = False
        self._commands: dict[str, Callable[[str], None]] = {
            "/set": self._set,
            "/show": self._show,
            "/clear": self._clear,
            "/save": self._save,
            "/load": self._load,
            "/help": self._help,
            "/?": self._help,
            "/bye": self._bye,
            "/exit": self._bye,
        }
        words = [*OTHERS, *SETTINGS]
        names = [name for name in self._commands if name not in ("/?", "/exit")]
        questions.complete([*names, *(f"/set {word} " for word in words)])

    def hold(self) -> None:
        """Ask and answer until the person leaves."""
        print(paint("/help tells what can be typed here.", "dim"))
        interrupts = 0
        while not self._left:
            try:
                text = self._questions.next()
            except EOFError:
                print()
                return
            except KeyboardInterrupt:
                interrupts = 0 if self._questions.typed() else interrupts + 1
                print()
                if interrupts == 2:
                    return
                if interrupts:
                    print(paint(AGAIN, "dim"))
                continue
            interrupts = 0
            self._take(text)

    def _take(self, text: str) -> None:
        try:
            if text.startswith("/"):
                self._command(text)
            elif text.strip():
                self._answer(text)
        except SensoriumError as error:
            note(f"sensorium: {said(error)}")
        except OSError as error:
            note(f"sensorium: {error.filename}: {error.strerror}")

    def _answer(self, text: str) -> None:
        with interrupted_once(), closing(self._conversation.ask(self._client, text)) as chunks:
            try:
                told = write_answer(chunks)
            except KeyboardInterrupt:
                print()
                return
        if told is not None and self._verbose:
            print(paint(told_line(told), "dim"))

    def _command(self, text: str) -> None:
        name, _, rest = text.partition(" ")
        if name not in self._commands:
            raise InvalidInputError(f"there is no {name[:80]}; /help tells what there is")
        self._commands[name](rest.strip())

    def _set(self, rest: str) -> None:
        name, _, value = rest.partition(" ")
        name, value = name.replace("-", "_"), value.strip()
        match name:
            case "system":
                self._conversation.system = value
            case "model":
                self._client.models.get(model=value)  # a wrong name should be said now
                self._conversation.model = value
            case "verbose":
                self._verbose = _switched(value)
            case _ if name in SETTINGS:
                self._conversation.set(name, value)
            case _:
                known = ", ".join([*OTHERS, *SETTINGS])
                raise InvalidInputError(f"there is no setting {name[:80]!r}; there are: {known}")
        print(paint(f"{name}: {value or 'as usual'}", "dim"))

    def _show(self, rest: str) -> None:
        del rest
        talk = self._conversation
        rows = {"model": talk.model, "system": talk.system or "(nothing)", **talk.settings}
        for name, value in rows.items():
            print(f"{paint(f'{name:18}', 'bold')} {value}")
        for message in talk.messages:
            print(f"{paint(f'{message.role:18}', 'cyan')} {harmless(message.content)}")

    def _clear(self, rest: str) -> None:
        del rest
        self._conversation.messages = []
        print(paint("What was said is forgotten.", "dim"))

    def _save(self, rest: str) -> None:
        path = _file(rest, "/save")
        self._conversation.save(path)
        print(paint(f"{len(self._conversation.messages)} messages are in {path}.", "dim"))

    def _load(self, rest: str) -> None:
        path = _file(rest, "/load")
        self._conversation.load(path)
        talk = self._conversation
        print(paint(f"{len(talk.messages)} messages with {talk.model}.", "dim"))

    def _help(self, rest: str) -> None:
        del rest
        print(HELP)

    def _bye(self, rest: str) -> None:
        del rest
        self._left = True


@contextmanager
def interrupted_once() -> Iterator[None]:
    """Ctrl-C interrupts what is within once; pressed again, it does not break off the tidying."""
    pressed = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        del number, frame
        nonlocal pressed
        if not pressed:
            pressed = True
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _switched(value: str) -> bool:
    if value.lower() not in (*ON, *OFF):
        raise InvalidInputError(f"verbose is on or off, not {value[:80]!r}")
    return value.lower() in ON


def _file(rest: str, command: str) -> Path:
    if not rest:
        raise InvalidInputError(f"{command} FILE wants the file's name")
    return Path(rest).expanduser()
