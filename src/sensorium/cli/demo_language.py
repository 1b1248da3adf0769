"""What the demonstration says to the language model that ships, and what it must answer."""

from typing import Any

from sensorium.capabilities.language.schema import Usage
from sensorium.cli.conversation import Conversation
from sensorium.cli.demo_told import Own, Told
from sensorium.client import Sensorium

MODEL = "tinylm"
QUESTIONS = ("What is the capital of France?", "What is the capital of Spain?")
ANSWERS = ("Paris", "Madrid")
BEGINNING = "Once upon a time"
GREEDY: dict[str, Any] = {"temperature": 0.0, "max_tokens": 32}


def complete(client: Sensorium, own: Own) -> Told:
    """`chat.complete`: a question, and its answer as a whole."""
    del own
    told = Told(QUESTIONS[0])
    with told.timed():
        answer = client.chat.complete(**Conversation(MODEL, **GREEDY).request(QUESTIONS[0]))
    told.answer = answer.choices[0].message.content
    told.expect(ANSWERS[0] in told.answer, f"it does not name {ANSWERS[0]}")
    told.expect(answer.choices[0].finish == "stop", "it did not come to its end")
    told.expect(answer.model == MODEL and len(answer.digest) == 64, "it was another model")
    return told


def stream(client: Sensorium, own: Own) -> Told:
    """`chat.stream`: a conversation of two turns, its answers as they come."""
    del own
    told = Told(" / ".join(QUESTIONS))
    talk = Conversation(MODEL, **GREEDY)
    pieces = 0
    usage = Usage()
    for question in QUESTIONS:
        with told.timed():
            for chunk in talk.ask(client, question):
                pieces += bool(chunk.text)
                usage = chunk.told.usage if chunk.told is not None else usage
    said = [each.content for each in talk.messages if each.role == "assistant"]
    told.answer = f"{' / '.join(said)} ({pieces} pieces)"
    told.expect(len(said) == len(QUESTIONS), "it did not answer each")
    for answer, expected in zip(said, ANSWERS, strict=False):
        told.expect(expected in answer, f"it does not name {expected}")
    told.expect(pieces > len(said), "the answers came in one piece")
    told.expect(usage.prompt_tokens > 2 * usage.generated_tokens, "the first turn was not read")
    return told


def text(client: Sensorium, own: Own) -> Told:
    """`text.complete`: how a text goes on."""
    del own
    told = Told(BEGINNING)
    with told.timed():
        answer = client.text.complete(model=MODEL, prompt=BEGINNING, **GREEDY)
    told.answer = answer.choices[0].text.strip()
    told.expect(bool(told.answer), "it does not go on")
    again = client.text.complete(model=MODEL, prompt=BEGINNING, **GREEDY).choices[0].text.strip()
    told.expect(again == told.answer, "the likeliest text is another each time")
    return told


def text_stream(client: Sensorium, own: Own) -> Told:
    """`text.stream`: the same, as it comes."""
    del own
    told = Told(f"{BEGINNING}, as it comes")
    with told.timed():
        chunks = list(client.text.stream(model=MODEL, prompt=BEGINNING, **GREEDY))
    told.answer = "".join(chunk.text for chunk in chunks).strip()
    whole = client.text.complete(model=MODEL, prompt=BEGINNING, **GREEDY).choices[0].text.strip()
    told.expect(told.answer == whole, "the pieces do not make up the whole")
    told.expect(chunks[-1].told is not None, "it does not tell what it took")
    return told
