"""`sensorium vision describe`, with a small model made here."""

import json
from pathlib import Path

import pytest

from tests.cli.running import sensorium
from tests.models import seeing

SAYS = "fox<loc_100><loc_200><loc_500><loc_700>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("data")
    (data / "models" / "fox").mkdir(parents=True)
    seeing.florence(data / "models/fox", SAYS)
    (data / "fox.jpg").write_bytes(seeing.picture(kind="JPEG", size=(300, 200)))
    return data


def test_a_pictures_file_becomes_a_table_of_boxes(folder: Path) -> None:
    asked = ("vision", "describe", str(folder / "fox.jpg"), "--model", "fox")
    data = {"SENSORIUM_DATA_DIR": str(folder)}
    ran = sensorium(*asked, "--task", "detect", **data)
    assert ran.status == 0, ran.err
    assert ran.out.split()[-5:] == ["fox", "30", "40", "120", "100"]
    ran = sensorium(*asked, "--task", "detect", "--json", **data)
    assert json.loads(ran.out)["boxes"][0]["label"] == "fox"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("nowhere.png",), "nowhere.png"),
        (("http://127.0.0.1/a.png", "--model", "fox"), "public addresses only"),
        ((__file__, "--model", "fox"), "PNG, JPEG, GIF or WebP"),
        (("fox.jpg",), "takes no pictures"),
    ],
)
def test_what_goes_wrong_is_said(folder: Path, more: tuple[str, ...], said: str) -> None:
    here = [str(folder / each) if each == "fox.jpg" else each for each in more]
    ran = sensorium("vision", "describe", *here, SENSORIUM_DATA_DIR=str(folder))
    assert ran.status != 0
    assert said in ran.err
    assert "Traceback" not in ran.err
