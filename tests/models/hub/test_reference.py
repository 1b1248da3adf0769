"""What a caller may write to name a model."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorium.core.errors import InvalidInputError
from sensorium.models.artifact import folder_name
from sensorium.models.catalogue.library import library
from sensorium.models.catalogue.paths import is_safe
from sensorium.models.hub.reference import Reference, parse

SHA = "ab" * 32


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("org/name", Reference("hub", "org/name", "org--name")),
        ("hf://org/name", Reference("hub", "org/name", "org--name")),
        ("hf://Org/n.a-m_e@v1.0", Reference("hub", "Org/n.a-m_e", "Org--n.a-m_e", "v1.0")),
        (
            "org/name@refs/pr/3:onnx/model.onnx",
            Reference("hub", "org/name", "org--name", "refs/pr/3", ("onnx/model.onnx",)),
        ),
        ("org/name:q4.gguf", Reference("hub", "org/name", "org--name", "", ("q4.gguf",))),
        (
            f"https://host/a/My%20Model.onnx#sha256={SHA}",
            Reference(
                "web", "https://host/a/My%20Model.onnx", "My-Model", "", ("My Model.onnx",), SHA
            ),
        ),
        (
            "http://127.0.0.1:8080/m.gguf?key=1",
            Reference("web", "http://127.0.0.1:8080/m.gguf?key=1", "m", "", ("m.gguf",)),
        ),
        ("file:///data/m.onnx", Reference("local", "/data/m.onnx", "m")),
        ("file://localhost/data/a%20b", Reference("local", "/data/a b", "a-b")),
    ],
)
def test_a_reference_is_taken_apart(text: str, expected: Reference) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "names no model"),
        ("a\0b/c", "names no model"),
        ("no-such-short-name", "not in the library"),
        ("gpt2", "hf://org/name"),
        ("hf://org", "no repository"),
        ("hf://org/name/more", "no repository"),
        ("hf://-org/name", "no repository"),
        ("hf://org/..", "no repository"),
        ("org/name@../x", "no branch"),
        ("org/name@a..b", "no branch"),
        ("org/name:../../etc/passwd", "no file"),
        ("org/name:/etc/passwd", "no file"),
        ("org/name:a\\b.onnx", "no file"),
        ("org/name:.hidden", "no file"),
        ("ftp://host/m.onnx", "not fetched by 'ftp'"),
        ("s3://bucket/m.onnx", "not fetched by"),
        ("http://example.org/m.onnx", "https://"),
        ("http://127.0.0.1.example.org/m.onnx", "https://"),
        ("http://0.0.0.0/m.onnx", "https://"),
        ("http://[::ffff:8.8.8.8]/m.onnx", "https://"),
        ("https://user:pass@host/m.onnx", "password"),
        ("https://host:port/m.onnx", "no web address"),
        ("https:///m.onnx", "no web address"),
        ("https://host\\@evil/m.onnx", "no web address"),
        ("https://host/m.onnx#md5=1", "sha256"),
        ("https://host/m.onnx#sha256=12", "64 hexadecimal"),
        ("https://host/", "names no model file"),
        ("https://host/m.zip", "names no model file"),
        ("https://host/m.bin", "names no model file"),
        ("https://host/%2e%2e%2fm.onnx%00", "names no model file"),
        ("https://host/m-00001-of-00002.gguf", "part of a model"),
        ("file://host/m.onnx", "whole path"),
        ("file://m.onnx", "whole path"),
        ("file:///a%00b", "whole path"),
        ("file:///...", "cannot be a model's name"),
    ],
)
def test_what_is_no_reference_is_refused_with_what_to_write(text: str, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        parse(text)


def test_two_different_hashes_are_refused() -> None:
    assert parse(f"https://h/m.onnx#sha256={SHA.upper()}", SHA).sha256 == SHA
    with pytest.raises(InvalidInputError, match="two different"):
        parse(f"https://h/m.onnx#sha256={SHA}", "cd" * 32)


def test_a_short_name_stands_for_a_model_of_the_library() -> None:
    for name, model in library().items():
        found = parse(name)
        assert (found.location, found.files) == (model.repository, model.files)
        assert found.folder == folder_name(model.repository)
    assert parse("yunet").sha256 == library()["yunet"].sha256[library()["yunet"].files[0]]


def test_a_source_holds_no_secret_and_no_path() -> None:
    assert parse("https://h/m.onnx?token=secret").source == "https://h/m.onnx"
    assert "home" not in parse("file:///home/me/m.onnx").source
    assert parse("file:///a/m.onnx").source != parse("file:///b/m.onnx").source


@given(st.text(max_size=60))
def test_whatever_is_written_is_parsed_or_refused(text: str) -> None:
    for given_text in (text, f"hf://{text}", f"https://{text}", f"file://{text}", f"org/{text}"):
        try:
            found = parse(given_text)
        except InvalidInputError:
            continue
        assert folder_name(found.folder) == found.folder
        assert all(is_safe(file) for file in found.files)


@given(
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True),
)
def test_a_folder_s_name_says_which_repository_it_is_of(org: str, name: str) -> None:
    try:
        found = parse(f"{org}/{name}")
    except InvalidInputError:
        assert ".." in f"{org}--{name}"
        return
    assert found.folder == f"{org}--{name}"
    assert "/" not in found.folder
    assert not found.folder.startswith(".")
