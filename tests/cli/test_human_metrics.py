"""Metrics files as people have them, and what `metrics anomalies` and `metrics forecast` print."""

import csv
import json
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorium.capabilities.metrics.schema import DetectAnomaliesResponse, ForecastResponse
from sensorium.cli.moments import read_time, show_time
from sensorium.cli.numbers import read_duration, show_duration
from sensorium.cli.picture import Picture, Points, Ribbon
from sensorium.cli.plot import MARK, SHADE, draw
from sensorium.cli.seriesfiles import Wanted, read_series
from sensorium.core.errors import InvalidInputError
from sensorium.core.types import Series
from tests.cli.human import SAMPLES, on_terminal, refusal, rows, run
from tests.servers import ROOT, Server

METRICS = SAMPLES / "metrics.csv"
T0 = 1_700_000_000


def read(tmp_path: Path, text: str, **wanted: object) -> list[Series]:
    path = tmp_path / "m.csv"
    path.write_text(text, "utf-8")
    return read_series(str(path), Wanted(**wanted))  # type: ignore[arg-type]


def test_each_column_of_numbers_is_a_series(tmp_path: Path) -> None:
    cpu, disk = read(tmp_path, f"time,host,cpu,disk\n{T0},web,1.5,70\n{T0 + 60},web,,71\n")
    assert (cpu.name, cpu.values, cpu.timestamps) == ("cpu", [1.5, None], [T0, T0 + 60])
    assert (disk.name, disk.values) == ("disk", [70, 71])


@pytest.mark.parametrize(
    "times",
    [
        [f"{T0}", f"{T0 + 60}"],
        [f"{T0}.0", f"{T0 + 60}.0"],
        [f"{T0}000", f"{T0 + 60}000"],
        [f"{T0}000000", f"{T0 + 60}000000"],
        [f"{T0}000000000", f"{T0 + 60}000000000"],
        ["2023-11-14T22:13:20Z", "2023-11-14T22:14:20Z"],
        ["2023-11-14 22:13:20", "2023-11-14 22:14:20"],
        ["2023-11-14T23:13:20+01:00", "2023-11-14T23:14:20+01:00"],
    ],
)
@pytest.mark.parametrize("heading", ["timestamp;value\n", ""], ids=["headed", "bare"])
def test_times_are_read_in_every_usual_form(
    tmp_path: Path, times: Sequence[str], heading: str
) -> None:
    text = heading + "".join(f"{time};{number}\n" for number, time in enumerate(times))
    (series,) = read(tmp_path, text)
    assert series.timestamps == [T0, T0 + 60]
    assert series.values == [0, 1]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_columns_are_chosen_by_name_and_number(tmp_path: Path, separator: str) -> None:
    text = f"a,b,stamp\n1,2,{T0}\n3,4,{T0 + 1}\n".replace(",", separator)
    (found,) = read(tmp_path, text, time_column="stamp", columns=("2",))
    assert (found.name, found.values, found.timestamps) == ("b", [2, 4], [T0, T0 + 1])


def test_without_times_values_are_an_interval_apart(tmp_path: Path) -> None:
    (series,) = read(tmp_path, "1\n2\nnan\n", interval_s=15.0)
    assert (series.values, series.timestamps, series.interval_s) == ([1, 2, None], None, 15.0)
    assert series.name == "column 1"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("t,v\n", "a heading and no rows"),
        ("", "is empty"),
        ("time,v\nyesterday,1\n", "line 2, column 'time': 'yesterday' is not a time"),
        ("time,v\n1,1\n\n2,high\n", "line 4, column 'v': 'high' is not a number"),
        ("time,v\n1,1\n2,2,2\n", "line 3: 3 columns, where the first line has 2"),
        ("name,colour\na,red\n", "no column of numbers"),
        ("[1, 2", "begins like JSON, but"),
        ('{"value": [1]}', 'a series is {"name"'),
        ('[["x", 1], ["y", 2]]', "'x' is not a time"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read(tmp_path, text)
    assert said in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "cpu", "timestamps": [1, 2], "values": [3, null]}',
        '[{"name": "cpu", "timestamps": [1, 2], "values": [3, null]}]',
        '{"series": [{"name": "cpu", "timestamps": [1, 2], "values": [3, null]}]}',
    ],
)
def test_json_is_a_series_a_list_or_a_request(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == [Series(name="cpu", timestamps=[1, 2], values=[3, None])]


def test_json_is_numbers_or_pairs_too(tmp_path: Path) -> None:
    (bare,) = read(tmp_path, "[3, null, 4]", interval_s=5.0)
    assert (bare.values, bare.interval_s) == ([3, None, 4], 5.0)
    (pairs,) = read(tmp_path, f'[[{T0}000, 1], ["2023-11-14T22:14:20Z", null]]')
    assert (pairs.timestamps, pairs.values) == ([T0, T0 + 60], [1, None])


@given(st.floats(-6e9, 1e11, exclude_max=True))
def test_an_epoch_in_seconds_is_itself(seconds: float) -> None:
    assert read_time(repr(seconds)) == seconds


@given(st.integers(0, 4_000_000_000))
def test_a_time_that_is_shown_reads_back(seconds: int) -> None:
    assert read_time(show_time(seconds)) == seconds


@given(st.integers(1, 10**8))
def test_a_duration_that_is_shown_reads_back_to_its_two_largest_units(seconds: int) -> None:
    shown = read_duration(show_duration(seconds))
    assert shown <= seconds < shown + 86400 / (24 if seconds >= 86400 else 1440)


@pytest.mark.parametrize("text", ["", "soon", "5x", "-5m", "1h!", "m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write 90s, 15m"):
        read_duration(text)


def test_anomalies_of_the_sample_are_where_incidents_were_induced() -> None:
    incidents = tomllib.loads((SAMPLES / "provenance.toml").read_text("utf-8"))["incident"]
    found = rows("metrics", "anomalies", METRICS)
    strongest = sorted(found, key=lambda row: -float(row[6]))
    for incident in incidents:
        assert any(
            incident["begin"] <= read_time(row[0]) <= incident["begin"] + 10
            and row[1] in incident["shows_in"]
            for row in found
        ), incident["name"]
    assert [row[0] for row in found] == sorted(row[0] for row in found)
    assert strongest[0][7] in ("above", "below")


def test_the_same_comes_from_a_server_from_standard_input_and_as_json(server: Server) -> None:
    here = rows("metrics", "anomalies", METRICS, "--column", "cpu_percent")
    assert here
    content = METRICS.read_bytes()
    arguments = ["metrics", "anomalies", "-", "--column", "cpu_percent"]
    assert rows(*arguments, stdin=content) == here
    assert rows(*arguments, "--server", server.url, stdin=content) == here
    done = run(*arguments, "--json", stdin=content)
    answer = msgspec.json.decode(done.stdout, type=DetectAnomaliesResponse)
    assert [show_time(each.timestamp) for each in answer.series[0].anomalies] == [
        row[0] for row in here
    ]


def test_methods_and_their_settings_are_passed_on() -> None:
    base = ["metrics", "anomalies", METRICS, "--column", "requests_per_s"]
    plain = rows(*base)
    assert len(rows(*base, "--sensitivity", "3", "--hold-off", "0s")) > len(plain)
    assert rows(*base, "--method", "sigma") != plain


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name a file, - for standard input, or --prometheus with --query"),
        (["--query", "up"], "--prometheus URL and --query QUERY go together"),
        (["x.csv", "--prometheus", "localhost", "--query", "up"], "a file or --prometheus, not"),
        (["missing.csv"], "missing.csv: No such file or directory"),
        (["--jason"], "Unknown option: --jason. Did you mean --json?"),
        ([METRICS, "--column", "ram"], "has no column 'ram'; there is: timestamp, cpu_percent"),
        ([METRICS, "--plot", "out.gif"], "--plot takes a name that ends in .png or .svg"),
        ([METRICS, "--hold-off", "soon"], "--hold-off: 'soon' is not a length of time"),
    ],
)
def test_misuse_is_explained_in_one_line(arguments: list[str], said: str) -> None:
    assert said in refusal("metrics", "anomalies", *arguments)


def test_a_forecast_gives_every_step_and_when_a_threshold_is_reached(tmp_path: Path) -> None:
    path = tmp_path / "disk.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(
            [["time", "disk"], *([T0 + 60 * n, 50 + n / 10] for n in range(200))]
        )
    found = rows("metrics", "forecast", path, "--horizon", "10m", "--threshold", "80")
    *steps, crossing = found
    assert [read_time(row[0]) for row in steps] == [T0 + 60 * n for n in range(200, 210)]
    assert float(steps[-1][2]) == pytest.approx(70.9, abs=0.5)
    assert all(float(row[3]) <= float(row[2]) <= float(row[4]) for row in steps)
    assert crossing[:3] == ["threshold", "disk", "will"]
    assert read_time(crossing[3]) == pytest.approx(T0 + 300 * 60, abs=600)


def test_a_forecast_as_json_is_the_whole_answer() -> None:
    done = run(
        "metrics", "forecast", METRICS, "--column", "memory_mib", "--horizon", "30s", "--json"
    )
    answer = msgspec.json.decode(done.stdout, type=ForecastResponse)
    assert len(answer.series[0].points) == 30


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_plots_are_written_as_files(tmp_path: Path, suffix: str) -> None:
    for verb in ("anomalies", "forecast"):
        path = tmp_path / f"{verb}.{suffix}"
        done = run("metrics", verb, METRICS, "--plot", path)
        assert done.returncode == 0
        assert f"wrote {path}" in done.stderr.decode()
        begin = b"\x89PNG\r\n" if suffix == "png" else b"<?xml"
        assert path.read_bytes().startswith(begin)
        assert path.stat().st_size > 20_000


def test_without_matplotlib_the_extra_is_named_before_anything_is_computed(tmp_path: Path) -> None:
    (tmp_path / "matplotlib.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'matplotlib'\", name='matplotlib')\n"
    )
    path = f"{tmp_path}:{ROOT / 'src'}"
    said = refusal("metrics", "anomalies", METRICS, "--plot", "x.png", PYTHONPATH=path)
    assert said == ("sensorium: matplotlib is not installed: pip install 'sensorium[plots]'")


def test_on_a_terminal_anomalies_are_plotted_and_listed() -> None:
    text = on_terminal("metrics", "anomalies", METRICS, "--column", "cpu_percent", columns=90)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    plotted = [line for line in plain.splitlines() if "│" in line]
    assert len(plotted) == 10
    assert max(map(len, plain.splitlines())) <= 90
    assert sum(line.count(MARK) for line in plotted) >= 3
    assert "\x1b[1;31m" in text
    assert re.search(r"\d+ anomalies among 2,\d{3} values of 1 series", plain)
    assert "cpu_percent" in plain


def test_on_a_terminal_a_forecast_tells_of_the_threshold() -> None:
    side = ["--threshold", "1", "--side", "above"]
    text = on_terminal("metrics", "forecast", METRICS, "--column", "memory_mib", *side)
    assert "memory_mib: " in text
    assert "has reached 1" in text


def dots(lines: Sequence[str], columns: slice) -> list[int]:
    """The rows of a plot in which anything is drawn in those columns."""
    body = [line.partition("│")[2] for line in lines if "│" in line]
    return [n for n, row in enumerate(body) if any(c not in f" {SHADE}" for c in row[columns])]


def test_a_plot_rises_with_its_line_and_marks_what_is_marked() -> None:
    times = [float(n) for n in range(1000)]
    line = Points(times, [n / 10 for n in range(1000)])
    picture = Picture("up", line, Ribbon(), Points([0.0], [0.0]), Points())
    lines = draw(picture, 80, 12)
    assert dots(lines, slice(0, 4))[-1] == 11
    assert dots(lines, slice(-4, None))[0] == 0
    assert MARK in lines[-2]
    assert all(len(line) <= 80 for line in lines)


def test_a_spike_of_one_value_survives_being_drawn_small() -> None:
    values = [1.0] * 100_000
    values[70_000] = 9.0
    picture = Picture(
        "flat", Points([float(n) for n in range(100_000)], values), Ribbon(), Points(), Points()
    )
    lines = draw(picture, 60, 10)
    assert dots(lines, slice(None))[0] <= 1


@given(
    st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=50),
    st.integers(20, 200),
    st.integers(2, 30),
)
def test_any_values_are_drawn_within_the_plot(values: list[float], width: int, height: int) -> None:
    times = [float(T0 + 60 * n) for n in range(len(values))]
    ribbon = Ribbon(times, [value - 1 for value in values], [value + 1 for value in values])
    picture = Picture("any", Points(times, values), ribbon, Points(times, values), Points(), 0.0)
    lines = draw(picture, width, height)
    assert len(lines) == height + 2
    assert max(map(len, lines)) <= max(width, 32)


def test_a_series_without_values_has_an_empty_plot() -> None:
    assert draw(Picture("none", Points(), Ribbon(), Points(), Points()), 80, 10)[1] == "  no values"


def test_a_json_request_round_trips_through_the_reader(tmp_path: Path) -> None:
    text = json.dumps({"series": [{"name": "a", "interval_s": 5, "values": [1, 2]}]})
    assert read(tmp_path, text, columns=("a",))[0].interval_s == 5
    with pytest.raises(InvalidInputError, match="no series 'b'; there is: a"):
        read(tmp_path, text, columns=("b",))
