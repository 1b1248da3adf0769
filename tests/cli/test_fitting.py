"""Tables on terminals of any width: names are whole, and what is left out is named."""

from pathlib import Path

import pytest

from sensorium.cli.fitting import EDGES, GAP, LEAST_PROSE, Column, fit
from tests.cli.running import on_terminal

NAME = Column(27)
WORD = Column(18)
FIGURE = Column(9, numeric=True)
SAID = Column(90, prose=True)
LONG = "minilm-l6-v2-fine-tuned-for-tickets"


def drawn(widths: dict[int, int]) -> int:
    return sum(widths.values()) + GAP * (len(widths) - 1) + EDGES


@pytest.mark.parametrize("room", [1, 9, 30, 44, 60, 80, 100, 200])
@pytest.mark.parametrize(
    "columns",
    [
        [NAME],
        [NAME, WORD, WORD, FIGURE],
        [NAME, WORD, SAID],
        [NAME, SAID],
        [SAID, SAID],
        [FIGURE, FIGURE, WORD, SAID, WORD],
        [Column(8, kept=True), Column(21, kept=True), Column(60, prose=True, kept=True)],
    ],
)
def test_a_table_is_as_wide_as_the_terminal_at_most(columns: list[Column], room: int) -> None:
    widths = fit(columns, room)
    assert 0 in widths
    assert all(width >= 1 for width in widths.values())
    assert drawn(widths) <= room or room < len(widths) * (GAP + 1) + EDGES
    assert all(widths[place] <= columns[place].width for place in widths)
    assert {place for place, each in enumerate(columns) if each.kept} <= set(widths)


def test_prose_gives_way_before_words_and_words_before_columns() -> None:
    columns = [NAME, WORD, SAID, FIGURE]
    assert fit(columns, 300) == {0: 27, 1: 18, 2: 90, 3: 9}
    assert fit(columns, 95) == {0: 27, 1: 18, 2: 30, 3: 9}
    assert fit(columns, 85) == {0: 27, 1: 14, 2: LEAST_PROSE, 3: 9}
    assert fit(columns, 80) == {0: 27, 1: 18, 2: 27}
    assert fit(columns, 70) == {0: 27, 1: 11, 2: LEAST_PROSE}
    assert fit(columns, 56) == {0: 27, 2: LEAST_PROSE}
    assert fit(columns, 44) == {0: 27, 2: 12}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a model of a long name."""
    made = tmp_path_factory.mktemp("data")
    place = made / "models" / LONG
    place.mkdir(parents=True)
    text = 'url = "http://127.0.0.1:9/v1"\nprotocol = "openai"\nmodel = "theirs"\n'
    (place / "remote.toml").write_text(text)
    return made


@pytest.mark.parametrize(("columns", "left_out"), [(80, "state"), (44, "size")])
def test_the_names_of_models_are_whole(folder: Path, columns: int, left_out: str) -> None:
    status, seen = on_terminal(
        "models", "list", COLUMNS=str(columns), SENSORIUM_DATA_DIR=str(folder)
    )
    assert status == 0
    lines = seen.splitlines()
    assert max(map(len, lines)) <= columns
    assert sum(LONG in line for line in lines) == 1
    assert sum("tinylm" in line for line in lines) == 1
    told = seen[seen.index("Left out here:") :]
    assert left_out in told
    assert "--json has all" in " ".join(told.split())


@pytest.mark.parametrize("columns", [80, 44])
@pytest.mark.parametrize(
    "command",
    [
        ("models", "ps"),
        ("models", "show", "tinylm"),
        ("system", "hardware"),
        ("system", "operations"),
        ("config", "show"),
        ("logs", "cluster", "{log}"),
    ],
)
def test_no_table_is_wider_than_its_terminal(
    tmp_path: Path, command: tuple[str, ...], columns: int
) -> None:
    log = tmp_path / "app.log"
    log.write_text("Connection from 10.0.0.1 timed out after 30 s, and nobody knows why\n" * 3)
    words = [each.format(log=log) for each in command]
    status, seen = on_terminal(*words, COLUMNS=str(columns))
    assert status == 0
    table = [line for line in seen.splitlines() if "──" in line or line.endswith(" ")]
    assert table
    assert max(map(len, table)) <= columns


def test_what_a_machine_has_is_named_on_any_terminal() -> None:
    _, seen = on_terminal("system", "hardware", COLUMNS="44")
    assert "providers" in seen
    assert "Left out" not in seen
