"""The page at `/`, in Chromium, against a real server."""

import json
import math
import re

import pytest

from tests.e2e.browser import Tab, tab
from tests.servers import Server, serving

pytestmark = pytest.mark.browser

ROWS = "#logs .rows details"
INJECTION = "<img src=x onerror='window.injected=1'><script>window.injected=1</script>"
LOG = "\n".join(
    [
        *(f"ERROR auth: Failed password for user{n} from 10.0.0.{n} port {n}" for n in range(30)),
        *(f"WARN db: Query timed out after {n} ms" for n in range(12)),
        f"INFO web: {INJECTION}",
    ]
)
SPIKE = 150


def paste(page: Tab, view: str, text: str) -> None:
    """Type text into a view's field and send it off."""
    page.click(f"#tab-{view}")
    page.run(f"document.querySelector('#{view} textarea').value = {json.dumps(text)}")
    page.click(f"#{view} .primary")


def drop(page: Tab, name: str, content: str) -> None:
    """Drop a file on the page; `content` is an expression for a Blob's parts."""
    page.run(
        f"Promise.resolve({content}).then((parts) => {{ const carried = new DataTransfer();"
        f"carried.items.add(new File(parts, {name!r})); document.body.dispatchEvent("
        "new DragEvent('drop', {bubbles: true, cancelable: true, dataTransfer: carried})); })"
    )


def lines_per_row(page: Tab) -> list[int]:
    """The count that each row shows."""
    shown = page.texts(f"{ROWS} summary > .number:nth-of-type(2)")
    return [int(text.replace(",", "")) for text in shown]


def samples(values: list[float]) -> str:
    """A CSV of a quiet series with one spike, and of one without."""
    rows = [
        f"{1_795_000_000 + 60 * n},{99 if n == SPIKE else value},{value}"
        for n, value in enumerate(values)
    ]
    return "\n".join(["timestamp,odd,even", *rows])


def test_the_page_loads_with_its_version(page: Tab, server: Server) -> None:
    with server.client() as http:
        version = http.get("/v1/health").json()["version"]
    page.wait(f"document.getElementById('version').textContent === {version!r}")
    assert page.run("document.title") == "Sensorium"


def test_a_pasted_log_becomes_its_clusters(page: Tab) -> None:
    paste(page, "logs", LOG)
    page.wait(f"document.querySelectorAll({ROWS!r}).length")
    assert lines_per_row(page) == [30, 12, 1]
    assert page.texts("#logs .figures dd")[0] == "43"
    assert page.texts(f"{ROWS} .severity") == ["error", "warning", "info"]


def test_nothing_in_a_log_becomes_markup(page: Tab) -> None:
    paste(page, "logs", LOG)
    page.click(f"{ROWS}:nth-of-type(3) summary")
    page.wait("document.querySelector('.examples pre')")
    assert INJECTION in page.texts(".examples pre")[0]
    assert page.run("window.injected") is None
    assert page.run("document.querySelectorAll('main img, main script').length") == 0


def test_the_sample_shows_when_its_outage_was(page: Tab) -> None:
    page.click("#logs .sample")
    page.wait(f"document.querySelector('{ROWS}.critical')")
    bars = page.run(f"document.querySelector('{ROWS}.critical path:last-child').getAttribute('d')")
    minutes = [int(float(x) // 2) for x in re.findall(r"M([\d.]+)", bars)]
    assert set(minutes) >= {20, 21, 22, 23}
    assert set(minutes) <= {20, 21, 22, 23, 24}
    assert page.texts("#logs .ends span")[0] == "2026-05-01 14:00:00"


def test_filters_and_order_change_what_is_listed(page: Tab) -> None:
    paste(page, "logs", LOG)
    page.wait(f"document.querySelector({ROWS!r})")
    page.run(
        "(() => { const order = document.querySelector('#logs .patterns select');"
        "order.value = 'newest'; order.dispatchEvent(new Event('change')); })()"
    )
    assert lines_per_row(page) == [1, 12, 30]
    page.run(
        "(() => { const filter = document.querySelector('#logs input[type=search]');"
        "filter.value = 'TIMED OUT'; filter.dispatchEvent(new Event('input')); })()"
    )
    assert lines_per_row(page) == [12]


def test_a_compressed_log_can_be_dropped_on_any_view(page: Tab) -> None:
    page.click("#tab-metrics")
    compressed = (
        f"new Response(new Blob([{json.dumps(LOG)}]).stream().pipeThrough("
        "new CompressionStream('gzip'))).blob().then((blob) => [blob])"
    )
    drop(page, "app.log.gz", compressed)
    page.wait(f"document.querySelectorAll({ROWS!r}).length")
    assert lines_per_row(page) == [30, 12, 1]
    assert page.texts("#logs .source b") == ["app.log.gz"]


def test_a_large_log_does_not_freeze_the_tab(page: Tab) -> None:
    drop(
        page,
        "big.log",
        "Array.from({length: 200000}, (_, n) => `2026-05-01 12:00:00 INFO web: "
        "GET /things/${n} took ${n % 997} ms and wrote ${n % 83} rows\\n`)",
    )
    before_s = page.computed_s()
    page.wait(f"document.querySelectorAll({ROWS!r}).length", 60)
    assert page.computed_s() - before_s < 0.25, "the times of its lines alone take more"
    assert sum(lines_per_row(page)) == 200_000


def test_a_csv_shows_its_anomalies_where_they_are(page: Tab) -> None:
    values = [round(20 + 2 * math.sin(n / 9), 1) for n in range(300)]
    drop(page, "load.csv", json.dumps([samples(values)]))
    page.wait("document.querySelectorAll('#metrics .chart').length === 2")
    odd, even = page.run(
        "[...document.querySelectorAll('#metrics .series')].map((series) => [...series"
        ".querySelectorAll('circle')].map(({dataset, cx}) => [+dataset.index, cx.baseVal.value]))"
    )
    assert [index for index, _ in odd] == [SPIKE]
    assert even == []
    drawn = page.run("document.querySelector('.chart .line').getBBox().x")
    width = page.run("document.querySelector('.chart .line').getBBox().width")
    assert odd[0][1] == pytest.approx(drawn + width * SPIKE / 299, abs=1.5)


def test_a_csv_is_carried_on_with_an_interval(page: Tab) -> None:
    page.click("#tab-metrics")
    page.click("#metrics .sample")
    page.wait("document.querySelectorAll('#metrics .chart').length === 2")
    past, ahead, interval = page.run(
        "['.line', '.forecast', '.interval'].map((part) => document.querySelector("
        "`.chart ${part}`).getBBox()).map(({x, width, height}) => [x, x + width, height])"
    )
    assert past[1] <= ahead[0] < ahead[1]
    assert interval[2] > ahead[2]
    assert page.run("document.querySelectorAll('.chart .band').length") >= 2


def test_what_is_wrong_is_said_in_words(page: Tab) -> None:
    paste(page, "metrics", "a,b\nx,y")
    page.wait("!document.querySelector('#metrics .failure').hidden")
    assert "No column of numbers" in page.texts("#metrics .failure b")[0]


def test_colours_follow_the_system_until_one_is_chosen(page: Tab) -> None:
    def brightness() -> float:
        colour = page.run("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3])) / 765

    page.colours("light")
    assert brightness() > 0.9
    page.colours("dark")
    assert brightness() < 0.2
    page.click("#theme")
    assert brightness() > 0.9
    page.open(page.run("location.href"))
    assert brightness() > 0.9


def test_the_activity_shows_calls_as_they_come(page: Tab, server: Server) -> None:
    page.click("#tab-activity")
    page.wait("document.querySelector('#activity table')")
    with server.client() as http:
        http.post("/v1/system/echo", json={"text": "seen?"})
    page.wait("document.querySelector('#activity .latest').innerText.includes('system.echo')")


def test_the_arrow_keys_move_between_the_views(page: Tab) -> None:
    page.run("document.getElementById('tab-logs').focus()")
    page.send("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight")
    page.wait("!document.getElementById('metrics').hidden")
    assert page.run("document.activeElement.id") == "tab-metrics"
    assert page.run("document.getElementById('tab-logs').tabIndex") == -1


@pytest.mark.parametrize("view", ["logs", "metrics", "activity"])
def test_a_phone_shows_it_without_scrolling_sideways(page: Tab, view: str) -> None:
    page.size(360, 740)
    page.click(f"#tab-{view}")
    if view == "activity":
        page.wait("document.querySelector('#activity table')")
    else:
        page.click(f"#{view} .sample")
        page.wait(f"document.querySelector('#{view} .source')")
    assert page.run("document.documentElement.scrollWidth") <= 360


def test_a_server_that_wants_a_key_gets_it(browser: str) -> None:
    with serving(environ={"SENSORIUM_API_KEYS": "sesame"}) as own, tab(browser) as page:
        page.open(f"{own.url}/")
        page.click("#logs .sample")
        for attempt in ("wrong", "sesame"):
            page.wait("document.getElementById('key').open")
            page.run(f"document.getElementById('key-value').value = {attempt!r}")
            page.click("#key .primary")
        page.wait(f"document.querySelector({ROWS!r})")
        assert page.texts("#key-reason") == ["This API key is not known here, or was revoked."]
        assert page.run("JSON.stringify({...localStorage}) + document.cookie") == "{}"
        page.open(f"{own.url}/#activity")
        page.wait("document.querySelector('#activity table')")
        assert page.run("document.getElementById('key').open") is False


def test_without_the_key_it_says_so(browser: str) -> None:
    with serving(environ={"SENSORIUM_API_KEYS": "sesame"}) as own, tab(browser) as page:
        page.open(f"{own.url}/")
        page.click("#logs .sample")
        page.wait("document.getElementById('key').open")
        page.click("#key button[value=cancel]")
        page.wait("!document.querySelector('#logs .failure').hidden")
        assert "key" in page.texts("#logs .failure b")[0]
