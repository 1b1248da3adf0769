"""The page's conversation, in Chromium, against a real server."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cli.running import sensorium
from tests.e2e.browser import Tab, tab
from tests.faults.observing import until
from tests.models.backends.remote_servers import Served, served
from tests.servers import serving

pytestmark = pytest.mark.browser

FIELD = "document.querySelector('#chat .composer textarea')"
ANSWERS = "#chat .turn.assistant .said"
TOOK = "#chat .turn.assistant .took"
IDLE = "!document.querySelector('#chat .primary').hidden"
PARIS = "The capital of France is Paris."


def begin(page: Tab) -> None:
    """Open the view, with answers that are always the same."""
    page.click("#tab-chat")
    page.wait("document.querySelector('#chat select').value")
    page.run("document.querySelector('#chat .fields input').value = 0")


def say(page: Tab, text: str) -> None:
    """Type a text, and the Enter key after it."""
    page.run(f"{FIELD}.focus()")
    page.send("Input.insertText", text=text)
    enter(page)


def enter(page: Tab, modifiers: int = 0) -> None:
    page.send(
        "Input.dispatchKeyEvent",
        type="keyDown",
        key="Enter",
        code="Enter",
        text="\r",
        windowsVirtualKeyCode=13,
        modifiers=modifiers,
    )


def answered(page: Tab, count: int) -> list[str]:
    """The answers, once there are so many and the last has ended."""
    page.wait(f"document.querySelectorAll({ANSWERS!r}).length === {count} && {IDLE}")
    return page.texts(ANSWERS)


@contextmanager
def with_remote(browser: str, fault: str = "") -> Iterator[tuple[Tab, Served]]:
    """The page of a server whose model `theirs` another server runs."""
    with served() as other, serving() as own, tab(browser) as page:
        other.fault = fault
        place = own.data_dir / "models" / "theirs"
        place.mkdir(parents=True)
        (place / "remote.toml").write_text(
            f'url = "{other.url}/v1"\nprotocol = "openai"\nmodel = "big"\n'
        )
        page.open(f"{own.url}/")
        begin(page)
        page.run(
            "(() => { const select = document.querySelector('#chat select'); "
            "select.value = 'theirs'; select.dispatchEvent(new Event('change')); })()"
        )
        yield page, other


def test_a_conversation_is_held(page: Tab) -> None:
    begin(page)
    say(page, "What is the capital of France?")
    assert answered(page, 1) == [PARIS]
    took = page.texts(TOOK)[0]
    assert "11 tokens" in took
    assert "tokens/s" in took
    assert "first token after" in took
    say(page, "What is the capital of Spain?")
    assert answered(page, 2)[1] == "The capital of Spain is Madrid."
    assert page.texts("#chat .turn.user .said") == [
        "What is the capital of France?",
        "What is the capital of Spain?",
    ]
    read = [int(text.rpartition("·")[2].split()[0]) for text in page.texts(TOOK)]
    assert read[1] > read[0] + 11  # the first turn was sent along
    page.click("#chat .renew")
    assert page.texts("#chat .turn") == []
    say(page, "What is the capital of France?")
    answered(page, 1)
    assert page.texts(TOOK)[0].endswith(f"{read[0]} read")


def test_it_says_that_the_model_is_the_self_test(page: Tab) -> None:
    begin(page)
    page.wait("document.querySelector('#chat .note').innerText.includes('self-test model')")
    names = page.texts("#chat select option")
    assert "tinylm" in names
    assert "machine-state" not in names


def test_shift_and_enter_begin_a_line(page: Tab) -> None:
    begin(page)
    page.run(f"{FIELD}.focus()")
    page.send("Input.insertText", text="one")
    enter(page, modifiers=8)
    page.send("Input.insertText", text="two")
    assert page.run(f"{FIELD}.value") == "one\ntwo"
    assert page.texts("#chat .turn") == []
    enter(page)
    answered(page, 1)
    assert page.texts("#chat .turn.user .said") == ["one\ntwo"]


def test_text_stays_text(page: Tab) -> None:
    begin(page)
    text = "<img src=x onerror='window.injected=1'><script>window.injected=1</script>"
    say(page, text)
    answered(page, 1)
    assert page.texts("#chat .turn.user .said") == [text]
    assert page.run("document.querySelectorAll('#chat img, #chat script').length") == 0
    assert page.run("window.injected") is None


def test_an_answer_at_its_limit_says_so(page: Tab) -> None:
    begin(page)
    page.run("document.querySelectorAll('#chat .fields input')[1].value = 3")
    say(page, "What is the capital of France?")
    answered(page, 1)
    assert "Cut off" in page.texts(TOOK)[0]


def test_a_setting_that_is_none_is_not_sent(page: Tab) -> None:
    begin(page)
    page.run("document.querySelector('#chat .fields input').value = 9")
    say(page, "Hello")
    assert page.run("document.querySelector('#chat .settings').open") is True
    assert page.texts("#chat .turn") == []
    assert page.run(f"{FIELD}.value") == "Hello"


def test_an_empty_setting_is_as_usual(browser: str) -> None:
    with with_remote(browser) as (page, other):
        page.run("for (const e of document.querySelectorAll('#chat .fields input')) e.value = ''")
        say(page, "Hello")
        answered(page, 1)
        usual = other.asked[-1][1]
        page.run("document.querySelectorAll('#chat .fields input')[0].value = '0'")
        page.run("document.querySelectorAll('#chat .fields input')[1].value = '7'")
        say(page, "Hello")
        answered(page, 2)
        chosen = other.asked[-1][1]
    assert usual.get("temperature") != 0
    assert usual.get("max_tokens") != 0
    assert (chosen["temperature"], chosen["max_tokens"]) == (0, 7)


def test_it_keeps_nothing_in_the_browser(page: Tab) -> None:
    begin(page)
    say(page, "Hello")
    answered(page, 1)
    kept = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
    assert json.loads(page.run(kept)) == [{}, {}, ""]


@pytest.mark.parametrize("how", ["click", "escape"])
def test_an_answer_can_be_stopped(browser: str, how: str) -> None:
    with with_remote(browser, "stall") as (page, other):
        assert page.texts("#chat .note") == [""]
        page.run("document.querySelector('#chat .wide textarea').value = 'Be brief.'")
        say(page, "Tell me all")
        page.wait(f"document.querySelector({ANSWERS!r})?.innerText.trim().includes(' ')")
        assert not page.run(IDLE)
        if how == "click":
            page.click("#chat .composer button:not([hidden])")
        else:
            page.send("Input.dispatchKeyEvent", type="keyDown", key="Escape")
        page.wait(IDLE)
        assert other.given_up.wait(60)
        assert page.texts(TOOK) == ["Stopped."]
        other.fault = ""
        say(page, "Go on")
        answered(page, 2)
        said = other.asked[-1][1]["messages"]
        assert [each["role"] for each in said] == ["system", "user", "assistant", "user"]
        assert said[0]["content"] == "Be brief."


@pytest.mark.parametrize("fault", ["401", "error", "cut"])
def test_what_goes_wrong_is_told_in_place_and_may_be_tried_again(browser: str, fault: str) -> None:
    with with_remote(browser, fault) as (page, other):
        say(page, "Hello")
        page.wait(f"document.querySelector('#chat .talk .failure') && {IDLE}")
        assert page.texts("#chat .talk .failure b")[0]
        assert page.texts(ANSWERS) == []
        other.fault = ""
        page.click("#chat .talk .failure button")
        assert answered(page, 1)[0].strip()
        assert [len(body["messages"]) for _, body in other.asked][-1] == 1


def test_a_server_that_is_gone_is_told(browser: str) -> None:
    with serving() as own, tab(browser) as page:
        page.open(f"{own.url}/")
        begin(page)
        own.stop()
        say(page, "Hello")
        page.wait("document.querySelector('#chat .talk .failure')")
        assert "connection" in page.texts("#chat .talk .failure b")[0]


def test_a_key_is_asked_for(browser: str) -> None:
    with serving(environ={"SENSORIUM_API_KEYS": "sesame"}) as own, tab(browser) as page:
        page.open(f"{own.url}/#chat")
        page.wait("document.getElementById('key').open")
        page.run("document.getElementById('key-value').value = 'sesame'")
        page.click("#key .primary")
        begin(page)
        say(page, "What is the capital of France?")
        assert answered(page, 1) == [PARIS]


def test_a_key_for_conversations_alone_is_enough(browser: str) -> None:
    with serving() as own, tab(browser) as page:
        data = str(own.data_dir)
        made = sensorium("keys", "create", "--operations", "chat.*", "--data-dir", data)
        with own.client() as http:
            until(
                lambda: http.post("/v1/models/list", json={}).status_code == 401, 10, "it is known"
            )
        page.open(f"{own.url}/#chat")
        page.wait("document.getElementById('key').open")
        page.run(f"sessionStorage.setItem('sensorium.key', {made.out.strip()!r})")
        page.open(f"{own.url}/?again#chat")
        begin(page)
        assert page.texts("#chat select option") == ["default"]
        say(page, "What is the capital of France?")
        assert answered(page, 1) == [PARIS]


def test_a_phone_shows_it_without_scrolling_sideways(page: Tab) -> None:
    page.size(360, 740)
    begin(page)
    say(page, "x" * 200)
    answered(page, 1)
    assert page.run("document.documentElement.scrollWidth") <= 360


def test_the_field_stays_in_sight(page: Tab) -> None:
    begin(page)
    page.run("document.querySelectorAll('#chat .fields input')[1].value = 3")
    page.run(f"{FIELD}.value = {json.dumps(chr(10).join('ab' * 30))}")
    page.run(f"{FIELD}.focus()")
    enter(page)
    answered(page, 1)
    assert page.run("document.documentElement.scrollHeight > innerHeight")
    for place in (0, 10_000):
        page.run(f"document.documentElement.scrollTop = {place}")
        bottom = page.run(
            "document.querySelector('#chat .composer').getBoundingClientRect().bottom"
        )
        assert bottom <= page.run("innerHeight") + 1
