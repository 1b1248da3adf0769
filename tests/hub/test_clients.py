"""Those who fetch: the hub's own client, and another Sensorium."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from sensorium.core.errors import ForbiddenError, NotFoundError, UnavailableError
from sensorium.core.settings import Secret
from sensorium.models.catalogue.catalogue import Catalogue
from sensorium.models.catalogue.manifest import read_manifest
from sensorium.models.hub.place import MIB, Place
from tests.hub.conftest import KEY
from tests.hub.folder import PULLED, TEXT, WEIGHTS, put, sha256
from tests.hub.relay import cutting
from tests.models.hub.pulling import content, pulled
from tests.servers import ROOT, Server, serving

EVERY = {**TEXT, "again.json": TEXT["config.json"]}


@pytest.fixture(autouse=True)
def no_hub_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def endpoint(node: Server) -> str:
    return f"{node.url}/hub"


@pytest.fixture
def api(endpoint: str) -> HfApi:
    return HfApi(endpoint=endpoint, token=KEY)


@pytest.fixture
def place(endpoint: str, tmp_path: Path) -> Place:
    return Place(
        cache=tmp_path / "models",
        endpoint=endpoint,
        token=Secret(KEY),
        connections=4,
        range_bytes=MIB,
        attempts=4,
    )


# The hub's own client


def test_the_client_is_told_of_a_model(api: HfApi) -> None:
    found = api.model_info("org/pulled", files_metadata=True)
    assert (found.id, found.pipeline_tag, found.card_data.license) == (  # type: ignore[union-attr]
        "org/pulled", "text-generation", "mit",
    )  # fmt: skip
    assert {each.rfilename: each.lfs.sha256 for each in found.siblings or () if each.lfs} == {
        path: sha256(data) for path, data in PULLED.items()
    }
    assert api.model_info("org/pulled", revision=found.sha).sha == found.sha
    assert api.repo_exists("org/pulled")
    assert not api.repo_exists("org/none")
    assert api.revision_exists("counted", "1")
    assert not api.revision_exists("counted", "7")
    assert api.file_exists("org/text", "sub/vocab.txt")
    assert not api.file_exists("org/text", "leaves")


def test_the_client_lists_files(api: HfApi) -> None:
    assert set(api.list_repo_files("org/text")) == EVERY.keys()
    listed = api.list_repo_tree("org/text", recursive=True)
    assert {each.path for each in listed} == {*EVERY, "sub", "sub/deep"}
    told = api.get_paths_info("org/text", ["sub", "config.json", "none"])
    assert [each.path for each in told] == ["sub", "config.json"]


def test_the_client_fetches_a_snapshot(endpoint: str, tmp_path: Path) -> None:
    def fetch() -> Path:
        return Path(
            snapshot_download("org/text", endpoint=endpoint, token=KEY, cache_dir=tmp_path / "c")
        )

    folder = fetch()
    assert content(folder) == EVERY
    assert len(folder.name) == 40
    assert fetch() == folder, "from its cache"
    beside = tmp_path / "beside"
    snapshot_download("org/text", endpoint=endpoint, token=KEY, local_dir=beside)
    assert {k: v for k, v in content(beside).items() if not k.startswith(".")} == EVERY


def test_the_client_fetches_a_file_and_a_version(endpoint: str, tmp_path: Path) -> None:
    def fetch(name: str, file: str, revision: str | None = None) -> bytes:
        path = hf_hub_download(
            name, file, revision=revision, endpoint=endpoint, token=KEY, cache_dir=tmp_path
        )
        return Path(path).read_bytes()

    for path, data in TEXT.items():
        assert fetch("org/text", path) == data
    assert [fetch("counted", "m.onnx", each) for each in ("1", "2", "main")] == [
        b"first", b"second", b"second",
    ]  # fmt: skip
    assert fetch("machine-state", "model.onnx")


def test_the_client_is_told_in_its_own_words_what_is_not_there(
    endpoint: str, tmp_path: Path
) -> None:
    def fetch(name: str = "org/text", file: str = "config.json", revision: str = "main") -> None:
        hf_hub_download(
            name, file, revision=revision, endpoint=endpoint, token=KEY, cache_dir=tmp_path
        )

    with pytest.raises(RepositoryNotFoundError):
        fetch("org/none")
    with pytest.raises(RevisionNotFoundError):
        fetch(revision="v9")
    for file in ("none.json", "sensorium.json", "leaves", ".env"):
        with pytest.raises(RemoteEntryNotFoundError):
            fetch(file=file)
    with pytest.raises(RepositoryNotFoundError):
        snapshot_download("org/none", endpoint=endpoint, token=KEY, cache_dir=tmp_path)
    with pytest.raises(RevisionNotFoundError):
        snapshot_download(
            "org/text", revision="v9", endpoint=endpoint, token=KEY, cache_dir=tmp_path
        )


@pytest.mark.parametrize("token", ["wrong", False])
def test_the_client_needs_a_key(endpoint: str, tmp_path: Path, token: str | bool) -> None:
    for fetch in (
        lambda: HfApi(endpoint=endpoint, token=token).model_info("org/text"),
        lambda: snapshot_download("org/text", endpoint=endpoint, token=token, cache_dir=tmp_path),
        lambda: hf_hub_download(
            "org/text", "config.json", endpoint=endpoint, token=token, cache_dir=tmp_path
        ),
    ):
        with pytest.raises(HfHubHTTPError) as error:
            fetch()
        assert error.value.response.status_code == 401
        assert not isinstance(error.value, RepositoryNotFoundError)


def test_the_client_goes_on_after_a_cut(node: Server, models: Path, tmp_path: Path) -> None:
    data = os.urandom(25_000_000)  # it writes ten at a time
    put(models / "org--long", {"m.gguf": data})
    with cutting(node, after=15_000_000) as relay:
        path = hf_hub_download(
            "org/long", "m.gguf", endpoint=f"{relay.url}/hub", token=KEY, cache_dir=tmp_path
        )
        assert Path(path).read_bytes() == data
        assert relay.cuts == 1
        assert b"range: bytes=10485760-" in relay.asked.lower()


def test_the_client_finds_it_by_its_environment(endpoint: str, tmp_path: Path) -> None:
    code = "from huggingface_hub import snapshot_download; print(snapshot_download('org/pulled'))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HF_ENDPOINT": endpoint, "HF_TOKEN": KEY, "HF_HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert content(Path(done.stdout.strip())) == PULLED


# Another Sensorium


def test_another_node_pulls(place: Place, models: Path) -> None:
    outcome = pulled("hf://org/text", place)
    assert (outcome.name, outcome.format, outcome.verified) == ("org--text", "transformers", True)
    folder = place.cache / "org--text"
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert (folder / "config.json").read_bytes() == TEXT["config.json"]
    again = pulled("hf://org/text", place)
    assert (again.fetched_bytes, again.digest) == (0, outcome.digest)
    assert Catalogue(place.cache).files("org/text").hashed


def test_what_is_known_of_a_model_goes_with_it(place: Place) -> None:
    outcome = pulled("hf://org/pulled:q8", place)
    assert (outcome.licence, outcome.task) == ("mit", "text-generation")
    assert content(place.cache / "org--pulled") == {
        name: PULLED[name] for name in ("LICENSE", "q8.gguf")
    }
    manifest = read_manifest(place.cache / "org--pulled")
    assert manifest is not None
    assert all(file.verified for file in manifest.files)
    third = replace(place, cache=place.cache.parent / "third")
    assert pulled(f"hf://org/pulled@{manifest.revision}:q8.gguf", third).digest == outcome.digest


def test_another_node_is_refused(place: Place) -> None:
    for token in ("", "wrong"):
        with pytest.raises(ForbiddenError):
            pulled("hf://org/text", replace(place, token=Secret(token)))
    with pytest.raises(NotFoundError):
        pulled("hf://org/none", place)
    with pytest.raises(NotFoundError):
        pulled("hf://org/text@v9", place)


def test_another_node_goes_on_where_it_was(node: Server, place: Place, models: Path) -> None:
    data = os.urandom(20_000_000)
    put(models / "org--long", {"m.gguf": data})
    with cutting(node, after=12_000_000, once=False) as relay:
        through = replace(place, endpoint=f"{relay.url}/hub", attempts=1)
        with pytest.raises(UnavailableError):
            pulled("hf://org/long", through)
        assert Catalogue(place.cache).entries() == [], "nothing is half there"
        relay.after = None
        outcome = pulled("hf://org/long", through)
    assert outcome.fetched_bytes < 16_000_000
    assert (place.cache / "org--long/m.gguf").read_bytes() == data


def test_another_node_goes_on_after_a_cut(node: Server, place: Place, models: Path) -> None:
    data = os.urandom(8_000_000)
    put(models / "org--cut", {"m.gguf": data})
    with cutting(node, after=700_000) as relay:
        pulled("hf://org/cut", replace(place, endpoint=f"{relay.url}/hub"))
        assert relay.cuts == 1
    assert (place.cache / "org--cut/m.gguf").read_bytes() == data


def test_a_server_pulls_from_another(endpoint: str) -> None:
    environ = {"SENSORIUM_HF_ENDPOINT": endpoint, "SENSORIUM_HF_TOKEN": KEY}
    with serving(environ=environ) as other:
        done = subprocess.run(
            [sys.executable, "-m", "sensorium", "models", "pull", "hf://org/pulled:q4", "--json",
             "--server", other.url],
            capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["name"] == "org--pulled"
        assert (other.data_dir / "models/org--pulled/q4.gguf").read_bytes() == PULLED["q4.gguf"]
