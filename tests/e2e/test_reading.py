"""What the page makes of other people's files: CSV in its dialects, logs with their own times."""

import json
from typing import Any

import pytest

from tests.e2e.browser import Tab

pytestmark = pytest.mark.browser

NOON = 1_777_636_800  # 2026-05-01 12:00:00 UTC


def parsed(page: Tab, text: str) -> Any:
    return page.run(f"import('/assets/csv.js').then(({{parse}}) => parse({json.dumps(text)}))")


@pytest.mark.parametrize(
    ("text", "series"),
    [
        ("ts,a,b\n1777636800,1,2\n1777636860,,4", {"a": [1, None], "b": [2, 4]}),
        ("time;load\n2026-05-01T12:00:00Z;1.5\n2026-05-01T12:01:00Z;2", {"load": [1.5, 2]}),
        ('"Time","a, b"\n"1777636800","1"\n"1777636860","2"', {"a, b": [1, 2]}),
        ("1777636800,7\n1777636860,8", {"column 2": [7, 8]}),
        ("timestamp,host,value\n1777636800,x,1\n1777636860,x,2", {"x": [1, 2]}),
        ("1777636800000\t3\n1777636860000\tNaN\n", {"column 2": [3, None]}),
        ("\ufefftimestamp,a\r\n1777636800,1\r\nbroken\r\n1777636860,2\r\n", {"a": [1, 2]}),
    ],
)
def test_csv_in_many_dialects(page: Tab, text: str, series: dict[str, list[float]]) -> None:
    found = parsed(page, text)
    assert {each["name"]: each["values"] for each in found} == series
    assert [each["timestamps"] for each in found] == [[NOON, NOON + 60]] * len(series)


def test_a_row_per_host_and_metric_becomes_a_series_each(page: Tab) -> None:
    found = parsed(page, "time,host,cpu,disk\n1777636800,a,1,5\n1777636800,b,2,6\n")
    assert {each["name"]: each["values"] for each in found} == {
        "a cpu": [1],
        "a disk": [5],
        "b cpu": [2],
        "b disk": [6],
    }


def test_columns_without_times_are_only_numbered(page: Tab) -> None:
    found = parsed(page, "a,b\n1,2\n3,4")
    assert [(each["name"], each["timestamps"]) for each in found] == [("a", None), ("b", None)]


@pytest.mark.parametrize(
    "line",
    [
        "2026-05-01T12:00:00Z INFO ok",
        "INFO [2026/05/01 12:00:00] ok",
        '10.0.0.1 - - [01/May/2026:12:00:00 +0000] "GET /"',
        "812:M 01 May 2026 12:00:00.000 * ok",
        '{"level":"info","ts":1777636800.0,"msg":"ok"}',
    ],
)
def test_times_of_many_logs(page: Tab, line: str) -> None:
    lines = json.dumps(f"{line}\n  continued\n{line.replace('12:00:00', '12:00:30')}\n")
    found = page.run(
        f"import('/assets/times.js').then(({{lineTimes}}) => lineTimes(new Blob([{lines}]), 'x'))"
    )
    later = NOON if "ts" in line else NOON + 30
    assert found == [NOON, NOON, later]


def test_a_log_without_times_is_drawn_by_position(page: Tab) -> None:
    page.run("document.querySelector('#logs textarea').value = 'one went\\ntwo came\\none went'")
    page.click("#logs .primary")
    page.wait("document.querySelector('#logs .overview')")
    assert page.texts("#logs .ends span")[0] == "line 1"
    assert "over the log" in page.texts("#logs figcaption")[0]
