"""What every backend of language models keeps to: a suite that the tests of each inherit."""

import asyncio
import threading
from contextlib import aclosing

import msgspec
import numpy as np
import pytest

from sensorium.core.asking import Embed, Vectors
from sensorium.core.errors import InvalidInputError, NotSupportedError, UnavailableError
from sensorium.core.generation import Generation, Piece
from sensorium.models.placement.process import InProcess
from tests.models.backends.contract import OPTIONS, load


def generated(model, **task):
    """The pieces of a text, without those that only asked whether it is wanted."""
    pieces = []

    def emit(piece):
        if piece != Piece():
            pieces.append(piece)
        return True

    model.generate(msgspec.convert(task, Generation), emit)
    return pieces


def text_of(pieces):
    return "".join(each.text for each in pieces)


class TextContract:
    """A subclass has a fixture `made`, an artifact, and says what its model can do."""

    prompt = "Once upon a time"
    generates = True
    embeds = False
    tokenizes = True
    seeds = True
    tells_logprobs = True
    options = OPTIONS

    @pytest.fixture
    def model(self, made):
        loaded = load(made, self.options)
        yield loaded
        loaded.close()

    @pytest.fixture
    def generating(self, model):
        if not self.generates:
            with pytest.raises(NotSupportedError):
                generated(model, prompt=self.prompt)
            pytest.skip("it makes no text, and says so")
        return model

    def test_it_says_what_it_is(self, model):
        assert model.parallel >= 1
        assert model.spec.platform
        assert model.spec.inputs == model.spec.outputs == []

    def test_a_text_has_an_end(self, generating):
        pieces = generated(generating, prompt=self.prompt, max_tokens=6, temperature=0.0)
        *before, last = pieces
        assert last.finish in ("stop", "length")
        assert all(not each.finish for each in before)
        assert last.prompt_tokens > 0
        assert 1 <= last.generated_tokens <= 6
        assert text_of(pieces)

    def test_it_ends_at_its_limit(self, generating):
        pieces = generated(generating, prompt=self.prompt, max_tokens=3, temperature=0.0)
        assert (pieces[-1].finish, pieces[-1].generated_tokens) == ("length", 3)

    def test_without_temperature_it_is_always_the_same(self, generating):
        task = {"prompt": self.prompt, "max_tokens": 12, "temperature": 0.0}
        assert text_of(generated(generating, **task)) == text_of(generated(generating, **task))

    def test_a_seed_makes_it_the_same(self, generating):
        if not self.seeds:
            pytest.skip("it has no seeds")
        task = {"prompt": self.prompt, "max_tokens": 12, "temperature": 2.0, "min_p": 0.0}
        texts = [text_of(generated(generating, seed=each, **task)) for each in (1, 1, 2, 3)]
        assert texts[0] == texts[1]
        assert len(set(texts)) > 1

    def test_it_stops_before_a_stop_text(self, generating):
        task = {"prompt": self.prompt, "max_tokens": 24, "temperature": 0.0}
        whole = text_of(generated(generating, **task))
        stop = whole[len(whole) // 2 :][:4]
        pieces = generated(generating, stop=["never said", stop], **task)
        assert text_of(pieces) == whole[: whole.index(stop)]
        assert pieces[-1].finish == "stop"

    def test_it_ends_soon_when_nobody_wants_it(self, generating):
        seen = []

        def emit(piece):
            seen.append(piece)
            return len(seen) < 2

        generating.generate(Generation(prompt=self.prompt, max_tokens=200, temperature=0.0), emit)
        assert len(seen) <= 3
        assert generated(generating, prompt=self.prompt, max_tokens=1)[-1].finish

    def test_messages_make_a_conversation(self, generating):
        messages = [{"role": "user", "content": "What is the capital of France?"}]
        pieces = generated(generating, messages=messages, max_tokens=12, temperature=0.0)
        assert text_of(pieces)
        assert pieces[-1].finish

    def test_likely_tokens_are_told(self, generating):
        task = {"prompt": self.prompt, "max_tokens": 4, "temperature": 0.0, "logprobs": 3}
        if not self.tells_logprobs:
            with pytest.raises(NotSupportedError):
                generated(generating, **task)
            return
        steps = [step for piece in generated(generating, **task) for step in piece.steps]
        assert len(steps) == 4
        for step in steps:
            assert len(step.top) == 3
            assert [each.logprob for each in step.top] == sorted(
                (each.logprob for each in step.top), reverse=True
            )
            assert step.chosen == step.top[0]
            assert step.chosen.logprob <= 0

    def test_tokens_are_text(self, model):
        if not self.tokenizes:
            with pytest.raises(NotSupportedError):
                model.tokenize("one two")
            with pytest.raises(NotSupportedError):
                model.detokenize([1])
            return
        tokens = model.tokenize("one two three")
        assert len(tokens) >= 3
        assert model.detokenize(tokens).strip() == "one two three"
        for wrong in (-1, 2**31):
            with pytest.raises(InvalidInputError):
                model.detokenize([wrong])

    def test_what_is_begun_is_not_begun_again(self, generating):
        if not self.tokenizes:
            pytest.skip("it tells no tokens")
        text = generating.detokenize(generating.tokenize(self.prompt, special=True))
        if not text.endswith(self.prompt):
            pytest.skip("its texts have an end, too")
        plain, begun = (
            generated(generating, prompt=each, max_tokens=1)[-1].prompt_tokens
            for each in (self.prompt, text)
        )
        assert begun == plain

    def test_embeddings(self, model):
        if not self.embeds:
            with pytest.raises(NotSupportedError):
                model.embed(["one"])
            return
        texts = ["one", "a text that is rather longer", "one"]
        vectors, tokens = model.embed(texts)
        assert tokens >= 0
        assert vectors.dtype == np.float32
        assert vectors.shape[0] == 3
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-4)
        np.testing.assert_allclose(vectors[0], vectors[2], atol=1e-5)
        np.testing.assert_allclose(vectors[0], model.embed(["one"])[0][0], atol=1e-4)
        assert abs(vectors[0] @ vectors[1]) < 0.9999

    def test_several_at_once_get_their_own(self, generating):
        task = {"prompt": self.prompt, "temperature": 0.0}
        whole = text_of(generated(generating, max_tokens=9, **task))
        found = {}

        def ask(limit):
            found[limit] = text_of(generated(generating, max_tokens=limit, **task))

        threads = [threading.Thread(target=ask, args=(limit,)) for limit in (2, 5, 9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert found[9] == whole
        assert whole.startswith(found[5])
        assert found[5].startswith(found[2])

    def test_closed_is_closed(self, made):
        model = load(made, self.options)
        model.close()
        model.close()
        with pytest.raises(UnavailableError):
            generated(model, prompt=self.prompt) if self.generates else model.embed(["one"])

    def test_it_runs_in_a_process_of_its_own(self, made, model):
        task = {"prompt": self.prompt, "max_tokens": 8, "temperature": 0.0}

        async def run():
            placed = await InProcess.load(made, self.options, text=True)
            try:
                if not self.generates:
                    return await placed.ask(Embed(texts=["one"]), Vectors)
                async with aclosing(placed.generate(Generation(**task))) as pieces:
                    async for piece in pieces:
                        assert piece != Piece()
                        break  # nobody wants the rest
                return [piece async for piece in placed.generate(Generation(**task))]
            finally:
                await placed.close()

        found = asyncio.run(run())
        if self.generates:
            assert text_of(found) == text_of(generated(model, **task))
        else:
            assert found
