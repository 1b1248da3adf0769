"""What the demonstration asks of texts beside texts, and what must come back."""

from sensorium.cli.demo_language import MODEL, QUESTIONS
from sensorium.cli.demo_told import Own, Told
from sensorium.client import Sensorium
from sensorium.core.conversation import Message

LINES = ("user clara logged in", "disk sda is full", "the sun is warm", "disk sda is full")
SAME = (1, 3)
"""The self-test model knows of no meaning; that the same text is nearest is what it can show."""


def embed(client: Sensorium, own: Own) -> Told:
    """`text.embed`: vectors of log lines, of which the same ones are nearest."""
    del own
    told = Told(f"{len(LINES)} log lines")
    with told.timed():
        answer = client.text.embed(texts=list(LINES))
    near = {
        (a, b): sum(x * y for x, y in zip(answer.vectors[a], answer.vectors[b], strict=True))
        for a in range(len(LINES))
        for b in range(a + 1, len(LINES))
    }
    told.answer = f"{answer.dimensions} numbers each, {answer.tokens} tokens"
    told.expect(max(near, key=lambda pair: near[pair]) == SAME, "others are as near as the same")
    return told


def rerank(client: Sensorium, own: Own) -> Told:
    """`text.rerank`: the log lines in the order in which they answer a query."""
    del own
    told = Told(f"what is nearest to {LINES[1]!r}?")
    with told.timed():
        answer = client.text.rerank(query=LINES[1], documents=list(LINES[:3]), top_n=1)
    best = answer.results[0]
    told.answer = f"{LINES[best.index]!r}, {best.score:.2f}, by {answer.method}"
    told.expect(best.index == 1, "another line is said to be the best")
    return told


def tokenize(client: Sensorium, own: Own) -> Told:
    """`text.tokenize`, `text.detokenize`: a text taken apart, and put together again."""
    del own
    told = Told(QUESTIONS[0])
    with told.timed():
        tokens = client.text.tokenize(model=MODEL, text=QUESTIONS[0], special=False).tokens
        text = client.text.detokenize(model=MODEL, tokens=tokens).text
    told.answer = f"{len(tokens)} tokens: {', '.join(map(str, tokens[:4]))}, …"
    told.expect(text == QUESTIONS[0], "it is another text afterwards")
    return told


def count(client: Sensorium, own: Own) -> Told:
    """`text.count`: how long a conversation is for the model."""
    del own
    told = Told(f"a conversation: {QUESTIONS[0]}")
    messages = [Message(role="user", content=QUESTIONS[0])]
    with told.timed():
        tokens = client.text.count(model=MODEL, messages=messages).tokens
    told.answer = f"{tokens} tokens"
    answer = client.chat.complete(model=MODEL, messages=messages, max_tokens=1)
    told.expect(tokens == answer.usage.prompt_tokens, "the model read another number")
    return told
