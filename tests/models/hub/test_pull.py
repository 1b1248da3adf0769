"""Pulls that go well: what is fetched, what is there afterwards, and what is not fetched again."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from sensorium.core.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
)
from sensorium.core.settings import Secret
from sensorium.models.catalogue import folders
from sensorium.models.catalogue.catalogue import Catalogue
from sensorium.models.catalogue.manifest import read_manifest
from sensorium.models.hub.place import Place
from tests.language.lasting import TINYLM
from tests.models.hub.fake import FakeHub, Trouble
from tests.models.hub.pulling import all_of, content, leftovers, noise, pulled
from tests.models.projecting import seeing

BERT = {
    "model.safetensors": noise(5_000_001),
    "config.json": b"{}",
    "tokenizer.json": noise(40_000),
    "README.md": b"# A model",
    "pytorch_model.bin": noise(30_000),
}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_a_repository_is_fetched_whole(hub: FakeHub, place: Place) -> None:
    repo = hub.add("org/bert", BERT, licence="mit", task="fill-mask")
    told, outcome = all_of("org/bert", place)
    folder = place.cache / "org--bert"
    wanted = {path: BERT[path] for path in ("config.json", "model.safetensors", "tokenizer.json")}
    assert content(folder) == wanted
    assert outcome.name == "org--bert"
    assert outcome.format == "transformers"
    assert outcome.verified
    assert (outcome.licence, outcome.task) == ("mit", "fill-mask")
    assert outcome.source == f"hf://org/bert@{repo.commit}"
    assert outcome.fetched_bytes == outcome.size_bytes == sum(map(len, wanted.values()))
    lines = "".join(f"{sha256(data)}  {path}\n" for path, data in sorted(wanted.items()))
    assert outcome.digest == sha256(lines.encode())
    assert leftovers(place) == []
    assert told[0].phase == "resolving"
    assert told[-1].phase == "done"
    assert told[-1].done_bytes == told[-1].total_bytes == outcome.size_bytes
    assert hub.sent_bytes == outcome.size_bytes

    (artifact,) = Catalogue(place.cache).entries()
    assert artifact.name == "org--bert"
    assert artifact.path == folder
    assert artifact.digest == outcome.digest
    assert (artifact.licence, artifact.task) == ("mit", "fill-mask")
    assert artifact.source == outcome.source


def test_a_repository_cannot_have_this_server_call_another(hub: FakeHub, place: Place) -> None:
    settings = b'kind = "open_inference"\nurl = "http://203.0.113.7"\n'
    hub.add("org/both", {"m.gguf": noise(20_000), "remote.toml": settings})
    pulled("org/both", place)
    assert content(place.cache / "org--both").keys() == {"m.gguf"}
    assert [each.format for each in Catalogue(place.cache).entries()] == ["gguf"]
    hub.add("org/remote", {"remote.toml": settings})
    for reference in ("org/remote", "hf://org/remote:remote.toml"):
        with pytest.raises((InvalidInputError, NotFoundError)):
            pulled(reference, place)
    assert not hub.asked_for("remote.toml", "hub")


def test_a_file_is_fetched_in_ranges_by_several_connections(hub: FakeHub, place: Place) -> None:
    hub.add("org/m", {"m.gguf": noise(5_000_001)})
    pulled("org/m", place)
    ranges = [asked.headers["range"] for asked in hub.asked_for("m.gguf", "cdn")]
    assert sorted(ranges) == [
        "bytes=0-1048575",
        "bytes=1048576-2097151",
        "bytes=2097152-3145727",
        "bytes=3145728-4194303",
        "bytes=4194304-5000000",
    ]
    later = [asked for asked in hub.asked_for("m.gguf", "cdn") if asked.start]
    assert all(asked.headers["if-range"].startswith('"cdn-') for asked in later)
    assert len(hub.asked_for("m.gguf", "hub")) == 1, "the others went where the first was sent"


def test_the_token_is_for_the_hub_alone(hub: FakeHub, place: Place) -> None:
    hub.token = "hf_secret"
    hub.add("org/m", {"m.gguf": noise(2_000_000), "LICENSE": b"MIT"}, gated=401)
    with pytest.raises(ForbiddenError, match="HF_TOKEN") as error:
        pulled("org/m", place)
    assert "hf_secret" not in error.value.message
    pulled("org/m", replace(place, token=Secret("hf_secret")))
    by_role = {
        role: {asked.headers.get("authorization") for asked in hub.asked if asked.role == role}
        for role in ("hub", "cdn")
    }
    assert "Bearer hf_secret" in by_role["hub"]
    assert by_role["cdn"] == {None}


def test_the_environment_names_hub_and_token(
    hub: FakeHub, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.token = "hf_env"
    hub.add("org/m", {"m.gguf": noise(20_000)}, gated=403)
    monkeypatch.setenv("HF_ENDPOINT", hub.url + "/")
    monkeypatch.setenv("HF_TOKEN", "hf_env")
    assert pulled("org/m", replace(place, endpoint="")).verified


def test_a_second_pull_transfers_nothing(hub: FakeHub, place: Place) -> None:
    hub.add("org/bert", BERT)
    first = pulled("org/bert", place)
    before = len(hub.asked)
    again = pulled("org/bert", place)
    assert again == structs.replace(first, fetched_bytes=0)
    assert len(hub.asked) == before + 1, "the hub was asked what it has, and for no file"


def test_a_new_revision_replaces_the_old_and_takes_over_what_is_the_same(
    hub: FakeHub, place: Place
) -> None:
    hub.add("org/bert", {**BERT, "vocab.txt": b"old"})
    pulled("org/bert", place)
    folder = place.cache / "org--bert"
    with (folder / "config.json").open("rb") as in_use:
        sent = hub.sent_bytes
        hub.add("org/bert", {**BERT, "config.json": b'{"new": 1}'}, commit="d1" * 20)
        outcome = pulled("org/bert", place)
        assert in_use.read() == b"{}", "whoever has the old one open keeps it"
    assert hub.sent_bytes - sent == outcome.fetched_bytes == len(b'{"new": 1}')
    assert (folder / "config.json").read_bytes() == b'{"new": 1}'
    assert not (folder / "vocab.txt").exists()
    assert outcome.source.endswith("d1" * 20)
    assert leftovers(place) == []


def test_another_file_of_a_repository_joins_the_first(hub: FakeHub, place: Place) -> None:
    small, large = noise(20_000, 1), noise(30_000, 2)
    hub.add("org/m", {"m-q4.gguf": small, "m-q8.gguf": large, "README.md": b"1"})
    with pytest.raises(InvalidInputError, match=r"m-q4.gguf \(20 kB\), m-q8.gguf \(30 kB\)"):
        pulled("org/m", place)
    assert pulled("org/m:m-q4.gguf", place).name == "org--m"
    hub.repos["org/m"].commit = "d1" * 20
    assert pulled("hf://org/m@main:q8", place).name == "org--m:m-q8"
    assert content(place.cache / "org--m") == {"m-q4.gguf": small, "m-q8.gguf": large}
    catalogue = Catalogue(place.cache)
    assert catalogue.find("org/m").path.name == "m-q4.gguf", "the first stays the usual one"
    assert catalogue.find("org/m:q8").path.name == "m-q8.gguf"
    assert catalogue.find("org/m:q8").digest == sha256(large)
    assert [artifact.name for artifact in catalogue.entries()] == ["org--m", "org--m:m-q8"]


def test_a_pull_of_the_usual_model_leaves_the_others(hub: FakeHub, place: Place) -> None:
    files = {"model.safetensors": noise(20_000), "config.json": b"{}", "a.onnx": noise(30_000)}
    hub.add("org/m", files)
    pulled("org/m:a.onnx", place)
    assert pulled("org/m", place).name == "org--m"
    catalogue = Catalogue(place.cache)
    assert [found.format for found in catalogue.entries()] == ["transformers", "onnx"]
    before = len(hub.asked)
    assert pulled("org/m", place).fetched_bytes == 0
    assert pulled("org/m:a.onnx", place).name == "org--m:a"
    assert len(hub.asked) == before + 2
    hub.add("org/m", {**files, "a.onnx": noise(30_000, 1)}, commit="d1" * 20)
    pulled("org/m", place)
    assert [found.format for found in catalogue.entries()] == ["transformers"], "it was another"
    pulled("org/m:a.onnx", place)
    (place.cache / "org--m" / "model.safetensors").unlink()
    assert pulled("org/m:a.onnx", place).name == "org--m", "what is not whole does not stay"
    assert sorted(content(place.cache / "org--m")) == ["a.onnx", "config.json"]


def test_a_pinned_commit_is_fetched_at_that_commit(hub: FakeHub, place: Place) -> None:
    repo = hub.add("org/m", {"m.gguf": noise(20_000)})
    assert pulled(f"org/m@{repo.commit}", place).source.endswith(repo.commit)
    with pytest.raises(NotFoundError, match="no revision 'other'"):
        pulled("org/m@other", place)
    with pytest.raises(NotFoundError, match="HF_TOKEN"):
        pulled("org/none", place)


def test_a_short_name_fetches_from_the_library(hub: FakeHub, place: Place) -> None:
    file = "qwen2.5-0.5b-instruct-q4_k_m.gguf"
    hub.add("Qwen/Qwen2.5-0.5B-Instruct-GGUF", {file: noise(20_000), "other.gguf": noise(20_000)})
    assert pulled("qwen-small", place).files == (file,)
    assert Catalogue(place.cache).find("qwen-small").path.name == file


def test_a_hash_that_the_library_names_is_held_against_the_hub(hub: FakeHub, place: Place) -> None:
    file = "face_detection_yunet_2023mar.onnx"
    hub.add("opencv/face_detection_yunet", {file: noise(20_000)})
    with pytest.raises(UnavailableError) as error:
        pulled("yunet", place)
    assert error.value.details["reason"] == "wrong_hash"
    assert Catalogue(place.cache).entries() == []


def test_a_named_hash_is_for_the_model_of_a_repository(hub: FakeHub, place: Place) -> None:
    data = noise(20_000)
    hub.add("org/m", {"m.gguf": data, "LICENSE": b"x"})
    assert pulled("org/m", place, sha256=sha256(data)).verified
    with pytest.raises(UnavailableError, match="another sha256"):
        pulled("org/m", place, sha256="ab" * 32)


def test_without_the_network_only_what_is_there(
    hub: FakeHub, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = noise(20_000)
    repo = hub.add("org/m", {"m.gguf": data})
    hub.files["w.onnx"] = data
    for reference in ("org/m", f"{hub.url}/files/w.onnx"):
        with pytest.raises(UnavailableError, match="use no network"):
            pulled(reference, replace(place, offline=True))
        pulled(reference, place)
    before = len(hub.asked)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for reference in ("org/m", f"org/m@{repo.commit}", "org/m:m.gguf", f"{hub.url}/files/w.onnx"):
        assert pulled(reference, place).size_bytes == len(data)
    for reference in ("org/m@other", "org/m:other.gguf", "org/other"):
        with pytest.raises(UnavailableError, match="use no network"):
            pulled(reference, place)
    (place.cache / "org--m" / "m.gguf").unlink()
    with pytest.raises(UnavailableError, match="use no network"):
        pulled("org/m", place)
    assert len(hub.asked) == before


def test_a_web_address_is_fetched(hub: FakeHub, place: Place) -> None:
    data = noise(3_000_000)
    hub.files["My Model.onnx"] = data
    url = f"{hub.url}/files/My%20Model.onnx"
    outcome = pulled(url, place)
    assert not outcome.verified, "nobody said what it would hash to"
    assert (outcome.name, outcome.format, outcome.digest) == ("My-Model", "onnx", sha256(data))
    sent = hub.sent_bytes
    assert pulled(url, place).digest == outcome.digest
    assert hub.sent_bytes == sent + 1, "its validator was compared"
    hub.files["My Model.onnx"] = noise(2_000_000)
    assert pulled(url, place).digest == sha256(noise(2_000_000))
    assert pulled(url, place, sha256=sha256(noise(2_000_000))).digest == sha256(noise(2_000_000))


def test_a_web_address_with_a_hash_is_verified(hub: FakeHub, place: Place) -> None:
    data = noise(20_000)
    hub.files["m.gguf"] = data
    url = f"{hub.url}/files/m.gguf#sha256={sha256(data)}"
    assert pulled(url, place).verified
    before = len(hub.asked)
    assert pulled(url, place).fetched_bytes == 0
    assert len(hub.asked) == before, "its hash says that it is the same"


def test_a_text_is_a_model_only_if_it_reads_like_one(hub: FakeHub, place: Place) -> None:
    hub.files |= {"trees.txt": b"tree\nversion=v4\n", "notes.txt": b"buy milk"}
    assert pulled(f"{hub.url}/files/trees.txt", place).format == "lightgbm"
    with pytest.raises(InvalidInputError, match="not the kind of model"):
        pulled(f"{hub.url}/files/notes.txt", place)
    assert not (place.cache / "notes").exists()
    assert leftovers(place) == []


def test_models_of_one_name_do_not_replace_each_other(hub: FakeHub, place: Place) -> None:
    hub.files |= {"a/m.onnx": b"1" * 100, "b/m.onnx": b"2" * 100, "hand.onnx": b"3"}
    pulled(f"{hub.url}/files/a/m.onnx", place)
    with pytest.raises(ConflictError, match=r"from elsewhere .*a/m\.onnx"):
        pulled(f"{hub.url}/files/b/m.onnx", place)
    (place.cache / "hand").mkdir()
    (place.cache / "hand" / "hand.onnx").write_bytes(b"mine")
    with pytest.raises(ConflictError, match="by hand"):
        pulled(f"{hub.url}/files/hand.onnx", place)
    assert content(place.cache / "hand") == {"hand.onnx": b"mine"}


def test_an_empty_file_and_one_of_unknown_length(hub: FakeHub, place: Place) -> None:
    data = noise(2_500_000)
    hub.add("org/m", {"m.gguf": data, "LICENSE": b""})
    assert content_of(pulled("org/m", place).name, place) == {"m.gguf": data, "LICENSE": b""}
    hub.files["c.onnx"] = data
    hub.trouble = lambda asked: Trouble(no_range=True, chunked=True, etag="")
    told, outcome = all_of(f"{hub.url}/files/c.onnx", place)
    assert outcome.digest == sha256(data)
    assert told[-1].total_bytes == len(data)


def content_of(name: str, place: Place) -> dict[str, bytes]:
    return content(place.cache / name)


def test_a_local_file_comes_with_its_data(place: Place, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "net.onnx").write_bytes(b"onnx")
    (source / "net.onnx_data").write_bytes(noise(3_000_000))
    (source / "secret.txt").write_text("x")
    outcome = pulled(f"file://{source}/net.onnx", place)
    assert outcome.files == ("net.onnx", "net.onnx_data")
    assert not outcome.verified
    assert str(tmp_path) not in outcome.source
    assert read_manifest(place.cache / "net") is not None
    digest = sha256(b"onnx")
    with pytest.raises(InvalidInputError, match="this one file"):
        pulled(f"file://{source}/net.onnx", place, sha256=digest)
    (source / "one.gguf").write_bytes(b"gguf")
    assert pulled(f"file://{source}/one.gguf", place, sha256=sha256(b"gguf")).verified
    with pytest.raises(InvalidInputError, match="this one file"):
        pulled(f"file://{source}/one.gguf", place, sha256=digest)
    assert Catalogue(place.cache).find("one").path.read_bytes() == b"gguf"


SEEN = {"m-q4.gguf": noise(30_000), "m-q8.gguf": noise(9_000), "mmproj-f16.gguf": noise(4_000)}
"""Of a repository whose models see by one projector."""


def test_a_projector_comes_with_a_model_and_is_fetched_once(hub: FakeHub, place: Place) -> None:
    hub.add("org/m", SEEN, task="text-generation")
    outcome = pulled("hf://org/m:q4", place, sha256=sha256(SEEN["m-q4.gguf"]))
    assert outcome.files == ("m-q4.gguf", "mmproj-f16.gguf")
    assert (outcome.fetched_bytes, outcome.task) == (34_000, "image-text-to-text")
    assert pulled("hf://org/m:q8", place).fetched_bytes == 9_000
    catalogue = Catalogue(place.cache)
    for name in ("org/m", "org/m:q8"):
        assert catalogue.find(name).projector == place.cache / "org--m" / "mmproj-f16.gguf"
    catalogue.delete("org/m:q8")
    assert content(place.cache / "org--m").keys() == {"m-q4.gguf", "mmproj-f16.gguf"}


def test_a_projector_that_was_left_out_before_is_fetched(hub: FakeHub, place: Place) -> None:
    hub.add("org/m", {"m-q4.gguf": SEEN["m-q4.gguf"]})
    pulled("hf://org/m", place)
    hub.add("org/m", SEEN)
    assert pulled("hf://org/m:q4", place).fetched_bytes == 4_000
    assert Catalogue(place.cache).find("org/m").projector


def test_a_local_file_comes_with_the_projector_beside_it(place: Place, tmp_path: Path) -> None:
    for name, data in SEEN.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "mmproj-f32.gguf").write_bytes(b"another")
    named = sha256(SEEN["m-q4.gguf"])
    outcome = pulled(f"file://{tmp_path}/m-q4.gguf", place, sha256=named)
    assert outcome.files == ("m-q4.gguf", "mmproj-f16.gguf")
    manifest = read_manifest(place.cache / "m-q4")
    assert manifest is not None
    assert [each.path for each in manifest.files if each.verified] == ["m-q4.gguf"]
    with pytest.raises(InvalidInputError, match="no model"):
        pulled(f"file://{tmp_path}/mmproj-f16.gguf", place)


def test_a_pull_tells_of_a_projector_that_will_not_load(place: Place, tmp_path: Path) -> None:
    model = seeing(tmp_path)
    assert pulled(f"file://{model}", place).problem == ""
    (tmp_path / "mmproj-tiny-f32.gguf").write_bytes(b"GGUF")
    assert "projector" in pulled(f"file://{model}", place).problem


def test_a_local_file_is_found_among_more_than_are_looked_through(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "MAX_FILES", 3)
    (tmp_path / "below").mkdir()
    for number in range(5):
        (tmp_path / f"{number}.txt").write_text("x")
        (tmp_path / "below" / f"{number}.txt").write_text("x")
    for shard in ("a-00001-of-00002.gguf", "a-00002-of-00002.gguf"):
        (tmp_path / shard).write_bytes(b"GGUF")
    outcome = pulled(f"file://{tmp_path}/a-00001-of-00002.gguf", place)
    assert outcome.files == ("a-00001-of-00002.gguf", "a-00002-of-00002.gguf")


def test_a_local_folder_is_taken_over(place: Place, tmp_path: Path) -> None:
    source = tmp_path / "bert"
    (source / "sub").mkdir(parents=True)
    for path in ("config.json", "model.safetensors", "sub/vocab.txt", ".hidden"):
        (source / path).write_bytes(path.encode())
    outcome = pulled(f"file://{source}", place)
    assert outcome.format == "transformers"
    assert sorted(content(place.cache / "bert")) == [
        "config.json",
        "model.safetensors",
        "sub/vocab.txt",
    ]
    assert not os.path.samefile(source / "config.json", place.cache / "bert" / "config.json")


def test_what_is_no_local_model(place: Place, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.md").write_text("x")
    (tmp_path / "passwd.txt").write_text("root:x")
    (tmp_path / "m" / "1").mkdir(parents=True)
    (tmp_path / "m" / "1" / "model.onnx").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe.onnx")
    for path, kind, says in (
        ("none.onnx", NotFoundError, "no such file"),
        ("pipe.onnx", NotFoundError, "no such file"),
        ("notes", InvalidInputError, "holds no model"),
        ("passwd.txt", InvalidInputError, "holds no model"),
        ("m", InvalidInputError, "several versions"),
    ):
        with pytest.raises(kind, match=says) as error:
            pulled(f"file://{tmp_path}/{path}", place)
        assert str(tmp_path) not in error.value.message
    with pytest.raises(ForbiddenError):
        pulled(f"file://{tmp_path}/m", replace(place, local_files=False))
    assert Catalogue(place.cache).entries() == []


def test_a_caller_from_elsewhere_cannot_have_this_machine_look_around(
    hub: FakeHub, place: Place
) -> None:
    """Without `local_files`, neither files nor web addresses of this machine are fetched."""
    hub.files["model.onnx"] = noise(1000)
    from_elsewhere = replace(place, local_files=False)
    with pytest.raises(UnavailableError, match="nearer to this server") as caught:
        pulled(f"{hub.url}/files/model.onnx", from_elsewhere)
    assert caught.value.details["reason"] == "redirect"
    assert pulled(f"{hub.url}/files/model.onnx", place).format == "onnx"


def test_a_model_that_will_not_load_is_taken_and_said_to_be_one(
    place: Place, tmp_path: Path
) -> None:
    whole = TINYLM.read_bytes()
    (tmp_path / "whole.gguf").write_bytes(whole)
    (tmp_path / "cut.gguf").write_bytes(whole[: len(whole) // 2])
    assert pulled(f"file://{tmp_path}/whole.gguf", place).problem == ""
    for _ in range(2):
        assert "beyond the end" in pulled(f"file://{tmp_path}/cut.gguf", place).problem
    assert Catalogue(place.cache).find("cut").size == len(whole) // 2
