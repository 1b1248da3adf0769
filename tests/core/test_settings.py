"""Settings, and where each came from."""

from pathlib import Path
from typing import Annotated

import pytest
from msgspec import Meta, Struct

from sensorium.app import load_settings
from sensorium.core.errors import InvalidInputError
from sensorium.core.settings import Secret, load


class Http(Struct, frozen=True, kw_only=True):
    """A section."""

    port: Annotated[int, Meta(ge=0, le=65_535, description="The port.")] = 8484
    names: list[str] = []
    api_key: Secret = Secret("")
    quick: bool = False


SECTIONS: dict[str, type[Struct]] = {"http": Http}


def origin_of(tmp_path: Path, **sources: object) -> tuple[int, str]:
    structs, account = load(SECTIONS, directory=tmp_path, **{"environ": {}, **sources})  # type: ignore[arg-type]
    return structs["http"].port, next(each.origin for each in account if each.name == "http.port")


def test_flag_beats_environment_beats_dotenv_beats_file_beats_default(tmp_path: Path) -> None:
    assert origin_of(tmp_path) == (8484, "default")
    (tmp_path / "sensorium.toml").write_text("[http]\nport = 1\n")
    assert origin_of(tmp_path) == (1, "sensorium.toml")
    (tmp_path / ".env").write_text("# a comment\nexport SENSORIUM_PORT='2'\n")
    assert origin_of(tmp_path) == (2, ".env SENSORIUM_PORT")
    assert origin_of(tmp_path, environ={"PORT": "3"}) == (3, "environment PORT")
    both = {"PORT": "3", "SENSORIUM_PORT": "4"}
    assert origin_of(tmp_path, environ=both) == (4, "environment SENSORIUM_PORT")
    assert origin_of(tmp_path, environ=both, flags={"port": "5"}) == (5, "flag --port")


def test_texts_become_what_the_field_is(tmp_path: Path) -> None:
    environ = {"SENSORIUM_NAMES": "a, b", "SENSORIUM_QUICK": "true", "SENSORIUM_API_KEY": "k"}
    structs, _ = load(SECTIONS, environ=environ, directory=tmp_path)
    http = structs["http"]
    assert (http.names, http.quick, http.api_key.reveal()) == (["a", "b"], True, "k")


def test_a_secret_is_read_from_a_file_and_never_shown(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("hidden\n")
    environ = {"SENSORIUM_API_KEY_FILE": str(tmp_path / "key")}
    structs, account = load(SECTIONS, environ=environ, directory=tmp_path)
    assert structs["http"].api_key.reveal() == "hidden"
    assert "hidden" not in repr(account)
    assert "hidden" not in repr(structs)


@pytest.mark.parametrize(
    ("environ", "file", "said"),
    [
        ({"SENSORIUM_PORT": "99999"}, "", "http.port (from environment SENSORIUM_PORT)"),
        ({"SENSORIUM_PORT": "x"}, "", "http.port"),
        ({}, "[http]\nprot = 1\n", "no setting http.prot"),
        ({}, "[other]\nport = 1\n", "no setting other"),
        ({}, "http = 1\n", "no setting http"),
        ({}, "[http\n", "not TOML"),
        ({"SENSORIUM_CONFIG": "/nowhere"}, "", "not there"),
        ({"SENSORIUM_API_KEY_FILE": "/nowhere"}, "", "SENSORIUM_API_KEY_FILE cannot be read"),
    ],
)
def test_what_does_not_fit_is_said_by_name(
    tmp_path: Path, environ: dict[str, str], file: str, said: str
) -> None:
    if file:
        (tmp_path / "sensorium.toml").write_text(file)
    with pytest.raises(InvalidInputError) as raised:
        load(SECTIONS, environ=environ, directory=tmp_path)
    assert said in raised.value.message


def test_names_are_unique_over_all_sections() -> None:
    names = [each.name.partition(".")[2] for each in load_settings(environ={}).account]
    assert len(names) == len(set(names))


def test_every_setting_says_what_it_is() -> None:
    assert all(each.description for each in load_settings(environ={}).account)


def test_a_flag_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no option --prot"):
        load(SECTIONS, flags={"prot": "9000"}, environ={}, directory=tmp_path)
