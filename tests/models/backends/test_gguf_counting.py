"""What a conversation is counted to have is what the model reads of it."""

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sensorium.core.conversation import Message, Tool, ToolCall
from sensorium.core.generation import Generation
from sensorium.models.backends.base import LoadOptions
from sensorium.models.backends.gguf_loading import BACKEND
from sensorium.models.templates.budget import TemplateLimitError
from tests.models.backends import contract
from tests.models.backends.test_joined import STRICT
from tests.models.backends.text_contract import generated
from tests.servers import ROOT

FILE = ROOT.parent / "shared" / "models" / "tinylm" / "tinylm-q8_0.gguf"
pytestmark = pytest.mark.skipif(not FILE.exists(), reason="../shared/models/tinylm is not there")
KEY = b"tokenizer.chat_template"
WITH_TOOLS = """\
{{- bos_token }}
{%- if tools %}<|system|>You have tools.
{%- for tool in tools %}
{{ tool | tojson }}
{%- endfor %}<|end|>
{%- endif %}
{%- for m in messages %}
{%- if m.role == 'tool' %}<|user|><tool_response>
{{ m.content }}
</tool_response><|end|>
{%- else %}<|{{ m.role }}|>{{ m.content or '' }}
{%- for call in m.tool_calls or [] %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>
{%- endfor %}<|end|>
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}<|assistant|>{% endif %}"""
"""Much as Hermes and Qwen have it."""


def roomy(folder: Path, template: str) -> Path:
    """The small model with a longer context, and another chat template where one is given."""
    data = bytearray(FILE.read_bytes())
    context = b"llama.context_length"
    struct.pack_into("<I", data, data.index(context) + len(context) + 4, 1 << 13)
    at = data.index(KEY) + len(KEY) + 4
    (size,) = struct.unpack_from("<Q", data, at)
    if template:
        more = -(len(template) - size) % 32  # what follows stays where it is aligned to
        new = template.encode() + b"{#" + b" " * (more + 28) + b"#}"
        data[at : at + 8 + size] = struct.pack("<Q", len(new)) + new
    path = folder / f"roomy-{bool(template)}.gguf"
    path.write_bytes(data)
    return path


@pytest.fixture(scope="module", params=["", WITH_TOOLS], ids=["plain", "takes tools"])
def model(request, tmp_path_factory):
    path = roomy(tmp_path_factory.mktemp("counting"), request.param)
    options = LoadOptions(threads=1, parallel=1, context=2048)
    made = BACKEND.load(contract.artifact(path, "gguf"), options)
    yield made
    made.close()


words = st.one_of(
    st.sampled_from(
        [
            "",
            " ",
            "\n",
            "Hi",
            "🚀👩‍👩‍👧",
            "<|end|>",
            "<|user|>",
            "été",
            "a  b\tc\r\n",
            "{{ x }}",
            "null",
        ]
    ),
    st.text(max_size=40),
)
names = st.sampled_from(["look", "get_weather", "a"])
tools = st.lists(
    st.builds(
        Tool,
        name=names,
        description=words,
        parameters=st.sampled_from(
            [{}, {"type": "object", "properties": {"city": {"type": "string", "enum": ["é", "<"]}}}]
        ),
    ),
    max_size=2,
    unique_by=lambda each: each.name,
)


@st.composite
def conversations(draw):
    messages = []
    if draw(st.booleans()):
        messages.append(Message(role="system", content=draw(words)))
    for number in range(draw(st.integers(1, 3))):
        messages.append(Message(role="user", content=draw(words)))
        if draw(st.booleans()):
            call = ToolCall(
                id=f"call_{number}", name=draw(names), arguments='{"city": "Köln", "n": 1}'
            )
            messages.append(Message(role="assistant", content=draw(words), tool_calls=[call]))
            messages.append(Message(role="tool", content=draw(words), tool_call_id=call.id))
        messages.append(Message(role="assistant", content=draw(words)))
    messages = messages[draw(st.integers(0, len(messages))) :]
    messages.append(Message(role="user", content=draw(words)))
    if draw(st.booleans()):  # the answer is begun
        messages.append(Message(role="assistant", content=draw(words)))
    return messages


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(messages=conversations(), tools=tools)
def test_a_conversation_has_as_many_tokens_as_its_usage_says(model, messages, tools):
    task = Generation(messages=messages, tools=tools, max_tokens=1, temperature=0.0)
    told = model.size(task)
    fields = {"messages": messages, "tools": tools, "max_tokens": 1, "temperature": 0.0}
    assert generated(model, **fields)[-1].prompt_tokens == told


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(prompt=words)
def test_a_prompt_has_too(model, prompt):
    told = model.size(Generation(prompt=prompt))
    assert generated(model, prompt=prompt, max_tokens=1)[-1].prompt_tokens == told


def test_a_template_of_two_speakers_takes_what_a_third_says(tmp_path):
    path = roomy(tmp_path, "{%- set s = bos_token %}{{ s }}" + STRICT)
    model = BACKEND.load(
        contract.artifact(path, "gguf"), LoadOptions(threads=1, parallel=1, context=2048)
    )
    try:
        for more in ({}, {"tools": [Tool(name="look")]}):
            said = [Message(role=role, content=role) for role in ("system", "user", "user")]
            fields = {"messages": said, "max_tokens": 3, "temperature": 0.0, **more}
            last = generated(model, **fields)[-1]
            assert last.prompt_tokens == model.size(Generation(**fields))
    finally:
        model.close()


def test_a_template_that_behaves_by_what_the_library_gives_it(tmp_path):
    rounds = "{% for a in range(99999) %}" * 2 + "{% endfor %}" * 2
    hidden = "{% if enable_thinking is defined and messages[0].content == 'boo' %}"
    path = roomy(tmp_path, hidden + rounds + "{% endif %}" + WITH_TOOLS)
    model = BACKEND.load(
        contract.artifact(path, "gguf"), LoadOptions(threads=1, parallel=1, context=2048)
    )
    try:
        with pytest.raises(TemplateLimitError):
            generated(model, messages=[{"role": "user", "content": "boo"}], max_tokens=2)
        assert generated(model, messages=[{"role": "user", "content": "Hi"}], max_tokens=2)
    finally:
        model.close()
