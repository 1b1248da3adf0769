"""Pulls against servers that break off, lie, stall, change their mind or lead astray."""

import hashlib
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from starlette.responses import PlainTextResponse, Response

from sensorium.core.errors import (
    ForbiddenError,
    NotFoundError,
    RateLimitedError,
    SensoriumError,
    UnavailableError,
)
from sensorium.core.settings import Secret
from sensorium.models.catalogue.catalogue import Catalogue
from sensorium.models.hub.addresses import Reach
from sensorium.models.hub.connection import Connections, Target, TransientError
from sensorium.models.hub.place import MIB, Place
from tests.models.hub.fake import Asked, FakeHub, Trouble
from tests.models.hub.pulling import all_of, content, leftovers, noise, pulled

DATA = noise(5_000_001)
OTHER = noise(5_000_001, seed=1)
FILE = "m.gguf"


def once(trouble: Trouble, when: Callable[[Asked], bool]) -> Callable[[Asked], Trouble | None]:
    """Trouble for the first request that is like that, and for no other."""
    left = [trouble]
    lock = threading.Lock()

    def decide(asked: Asked) -> Trouble | None:
        with lock:
            return left.pop() if left and when(asked) else None

    return decide


def at_cdn(asked: Asked) -> bool:
    return asked.role == "cdn"


def later_part(asked: Asked) -> bool:
    return asked.role == "cdn" and asked.start == 2 * MIB


def refused(reference: str, place: Place) -> SensoriumError:
    with pytest.raises(SensoriumError) as error:
        pulled(reference, place)
    assert str(place.cache) not in error.value.message
    return error.value


def is_right(place: Place, data: bytes = DATA) -> bool:
    return content(place.cache / "org--m") == {FILE: data} and leftovers(place) == []


@pytest.fixture(autouse=True)
def repository(hub: FakeHub) -> None:
    hub.add("org/m", {FILE: DATA})


def test_a_connection_that_drops_is_gone_on_with(hub: FakeHub, place: Place) -> None:
    hub.trouble = once(Trouble(cut_after=300_000), later_part)
    assert pulled("org/m", place).fetched_bytes == len(DATA), "no byte came twice"
    assert is_right(place)
    starts = sorted(asked.start or 0 for asked in hub.asked_for(FILE, "cdn"))
    assert len(starts) == 6
    assert any(2 * MIB < start < 3 * MIB for start in starts), "it went on where it was cut"


def test_a_server_that_drops_every_connection_still_gets_there(hub: FakeHub, place: Place) -> None:
    # 400 KiB each time: each attempt brings something, so that none is the last.
    hub.trouble = lambda asked: Trouble(cut_after=400 << 10) if at_cdn(asked) else None
    assert pulled("org/m", replace(place, connections=8)).verified
    assert is_right(place)


def test_a_server_that_brings_nothing_is_given_up(hub: FakeHub, place: Place) -> None:
    hub.trouble = lambda asked: Trouble(cut_after=0) if at_cdn(asked) else None
    error = refused("org/m", replace(place, attempts=2))
    assert isinstance(error, UnavailableError)
    assert error.details["reason"] == "broken"
    assert Catalogue(place.cache).entries() == []
    hub.trouble = lambda _: None
    assert pulled("org/m", place).verified


def test_one_flipped_bit_is_found_and_nothing_of_it_stays(hub: FakeHub, place: Place) -> None:
    hub.trouble = lambda asked: Trouble(flip_at=3_333_333)
    error = refused("org/m", place)
    assert isinstance(error, UnavailableError)
    assert error.details["reason"] == "wrong_hash"
    assert error.details["expected"] == hashlib.sha256(DATA).hexdigest()
    assert Catalogue(place.cache).entries() == []
    assert not [name for name in leftovers(place) if name.endswith((".data", ".map", ".gguf"))]
    hub.trouble = lambda _: None
    assert pulled("org/m", place).fetched_bytes == len(DATA)
    assert is_right(place)


def test_a_flipped_bit_in_a_small_file_is_found_by_its_blob_id(hub: FakeHub, place: Place) -> None:
    hub.add("org/m", {FILE: DATA, "LICENSE": b"MIT licence"})
    hub.trouble = lambda asked: Trouble(flip_at=0) if asked.file == "LICENSE" else None
    error = refused("org/m", place)
    assert "LICENSE" in error.message
    assert error.details["reason"] == "wrong_hash"


def test_a_file_that_changes_half_way_is_begun_anew(hub: FakeHub, place: Place) -> None:
    hub.files[FILE] = DATA

    def change(asked: Asked) -> Trouble | None:
        if asked.start == 3 * MIB:
            hub.files[FILE] = OTHER
        return None

    hub.trouble = change
    outcome = pulled(f"{hub.url}/files/{FILE}", place)
    assert outcome.digest == hashlib.sha256(OTHER).hexdigest()
    assert content(place.cache / "m") == {FILE: OTHER}


def test_another_validator_for_the_same_hash_begins_anew_too(hub: FakeHub, place: Place) -> None:
    hub.trouble = once(Trouble(etag='"another"'), later_part)
    assert pulled("org/m", place).verified
    assert is_right(place)


def test_a_file_that_always_changes_is_given_up(hub: FakeHub, place: Place) -> None:
    hub.trouble = lambda asked: Trouble(etag=f'"{asked.number}"')
    error = refused("org/m", replace(place, attempts=20))
    assert error.details["reason"] == "changing"
    assert Catalogue(place.cache).entries() == []


def test_a_server_without_ranges_sends_one_stream(hub: FakeHub, place: Place) -> None:
    hub.trouble = lambda asked: Trouble(no_range=True)
    assert pulled("org/m", place).fetched_bytes == len(DATA)
    assert len(hub.asked_for(FILE, "cdn")) == 1
    assert is_right(place)


def test_a_stream_that_drops_begins_again(hub: FakeHub, place: Place) -> None:
    hub.trouble = lambda asked: Trouble(
        no_range=True, cut_after=2_000_000 if asked.number == 0 else None
    )
    assert pulled("org/m", place).verified
    assert is_right(place)


def test_the_whole_in_place_of_a_part(hub: FakeHub, place: Place) -> None:
    hub.trouble = once(Trouble(no_range=True), later_part)
    assert pulled("org/m", place).fetched_bytes == len(DATA)
    assert is_right(place)


def test_a_server_that_soon_forgets_ranges_sends_one_stream(hub: FakeHub, place: Place) -> None:
    hub.trouble = lambda asked: Trouble(no_range=asked.number > 0) if at_cdn(asked) else None
    assert pulled("org/m", replace(place, attempts=10)).verified
    assert is_right(place)


@pytest.mark.parametrize("listed", [len(DATA) - 1, len(DATA) + 1, 10 * len(DATA)])
def test_a_list_that_lies_about_a_size(hub: FakeHub, place: Place, listed: int) -> None:
    hub.repos["org/m"].listed_sizes[FILE] = listed
    error = refused("org/m", place)
    assert error.details == {"reason": "wrong_size", "expected": listed, "actual": len(DATA)}
    assert not [name for name in leftovers(place) if name.endswith(".data")]


@pytest.mark.parametrize("announced", [len(DATA) - 1000, len(DATA) + 1000])
def test_a_server_that_lies_about_a_size(hub: FakeHub, place: Place, announced: int) -> None:
    hub.trouble = lambda asked: Trouble(announce=announced) if at_cdn(asked) else None
    assert refused("org/m", place).details["reason"] == "wrong_size"
    assert Catalogue(place.cache).entries() == []


@pytest.mark.parametrize("size", [len(DATA) - 1000, len(DATA) + 1000])
def test_a_stream_of_another_size_than_the_list_says(hub: FakeHub, place: Place, size: int) -> None:
    hub.repos["org/m"].listed_sizes[FILE] = size
    hub.trouble = lambda asked: Trouble(no_range=True, chunked=True) if at_cdn(asked) else None
    assert refused("org/m", place).details["reason"] == "wrong_size"


def test_more_bytes_than_were_ever_there(hub: FakeHub, place: Place) -> None:
    """A web server that announces more than it has, and says so of every part."""
    hub.files[FILE] = DATA
    hub.trouble = lambda asked: Trouble(announce=len(DATA) + 3 * MIB)
    error = refused(f"{hub.url}/files/{FILE}", replace(place, attempts=2))
    assert error.details["reason"] in ("wrong_size", "broken")
    assert Catalogue(place.cache).entries() == []


def test_a_stalled_connection_is_replaced_and_the_others_go_on(hub: FakeHub, place: Place) -> None:
    hub.trouble = once(Trouble(stall_after=100_000), later_part)
    told, outcome = all_of("org/m", place)
    assert outcome.fetched_bytes == len(DATA)
    before_the_end = max(item.done_bytes for item in told[:-2])
    assert before_the_end >= len(DATA) - MIB, "only the one part waited"
    assert is_right(place)


def test_a_trickle_is_a_stall(hub: FakeHub, place: Place) -> None:
    hub.trouble = once(Trouble(trickle=True), later_part)
    assert pulled("org/m", replace(place, stall_s=0.3)).verified
    assert is_right(place)


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_server_in_trouble_is_asked_again(hub: FakeHub, place: Place, status: int) -> None:
    hub.trouble = once(Trouble(status=status, headers={"Retry-After": "1"}), at_cdn)
    assert pulled("org/m", place).verified
    assert is_right(place)


def test_trouble_that_does_not_end(hub: FakeHub, place: Place) -> None:
    hub.trouble = lambda asked: Trouble(status=500)
    error = refused("org/m", replace(place, attempts=2))
    assert "an answer of 500" in error.message
    hub.trouble = lambda asked: Trouble(status=429, headers={"Retry-After": "3600"})
    assert refused("org/m", place).retry_after_s == 3600


def test_a_signed_address_that_expires_is_made_anew(hub: FakeHub, place: Place) -> None:
    hub.trouble = lambda asked: (
        Trouble(status=403) if at_cdn(asked) and asked.number in (2, 3) else None
    )
    assert pulled("org/m", place).verified
    assert len(hub.asked_for(FILE, "hub")) > 1
    assert is_right(place)


@pytest.mark.parametrize(
    ("status", "kind"), [(401, ForbiddenError), (403, ForbiddenError), (404, NotFoundError)]
)
def test_a_file_that_is_not_for_us(
    hub: FakeHub, place: Place, status: int, kind: type[SensoriumError]
) -> None:
    hub.trouble = lambda asked: Trouble(status=status)
    assert isinstance(refused("org/m", place), kind)


def test_redirects_in_circles(hub: FakeHub, place: Place) -> None:
    hub.trouble = lambda asked: Trouble(location=asked.path)
    assert refused("org/m", place).details["reason"] == "redirect"
    assert len(hub.asked_for(FILE)) < 20


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/m", "data:,x"])
def test_redirects_to_what_is_no_web_address(hub: FakeHub, place: Place, location: str) -> None:
    hub.trouble = lambda asked: Trouble(location=location)
    assert refused("org/m", place).details["reason"] == "redirect"


def test_a_redirect_to_another_host_loses_the_token(hub: FakeHub, place: Place) -> None:
    hub.token = "hf_secret"
    hub.repos["org/m"].gated = 401
    elsewhere = hub.url.replace("127.0.0.1", "localhost")
    hub.files[FILE] = DATA
    hub.trouble = lambda asked: (
        Trouble(location=f"{elsewhere}/files/{FILE}") if "/resolve/" in asked.path else None
    )
    assert pulled("org/m", replace(place, token=Secret("hf_secret"))).verified
    by_host = {
        (asked.headers["host"].partition(":")[0], asked.headers.get("authorization"))
        for asked in hub.asked_for(FILE)
    }
    assert by_host == {("127.0.0.1", "Bearer hf_secret"), ("localhost", None)}


def test_a_redirect_does_not_lead_into_a_nearer_network(hub: FakeHub) -> None:
    connections = Connections(connect_s=5, stall_s=5, token="", token_for="")
    with pytest.raises(UnavailableError) as error:
        connections.get(Target(f"{hub.url}/files/{FILE}", least=Reach.PUBLIC), {})
    assert error.value.details["reason"] == "redirect"
    assert hub.asked == [], "not a byte was sent there"
    connections.close()


@pytest.mark.parametrize("address", ["0.0.0.0", "[::]"])
def test_no_address_is_this_machine_in_disguise(hub: FakeHub, address: str) -> None:
    port = hub.url.rpartition(":")[2]
    connections = Connections(connect_s=5, stall_s=5, token="", token_for="")
    # The kernel leads 0.0.0.0 to 127.0.0.1, so it is judged as that; "::" has no listener here.
    with pytest.raises((UnavailableError, TransientError)):
        connections.get(Target(f"http://{address}:{port}/", least=Reach.PRIVATE), {})
    assert hub.asked == []
    connections.close()


def test_a_compressed_answer_is_refused(hub: FakeHub, place: Place) -> None:
    hub.trouble = lambda asked: Trouble(headers={"Content-Encoding": "gzip"})
    assert "compressed" in refused("org/m", place).message


@pytest.mark.parametrize("stated", ["", "bytes 0-99/*", "bytes 5-9/5000001", "bytes 9-1/10", "x"])
def test_a_part_that_does_not_say_where_it_belongs(hub: FakeHub, place: Place, stated: str) -> None:
    hub.trouble = lambda asked: Trouble(
        status=206, headers={"Content-Range": stated}, body=b"x" * 100
    )
    assert refused("org/m", replace(place, attempts=2)).details["reason"] == "broken"


def test_no_validator_and_a_weak_one(hub: FakeHub, place: Place) -> None:
    hub.files[FILE] = DATA
    for etag in ("", 'W/"weak"'):
        hub.trouble = lambda asked, etag=etag: Trouble(etag=etag)  # type: ignore[misc]
        outcome = pulled(f"{hub.url}/files/{FILE}", place)
        assert outcome.digest == hashlib.sha256(DATA).hexdigest()
        assert outcome.fetched_bytes == len(DATA), "nothing says that it is still the same"
    assert not any("if-range" in asked.headers for asked in hub.asked)


def test_names_that_leave_the_folder_are_not_fetched(hub: FakeHub, place: Place) -> None:
    hub.add("org/m", {FILE: DATA, "../../config.json": b"{}", "/etc/LICENSE": b"x"})
    assert pulled("org/m", place).files == (FILE,)
    assert is_right(place)
    with pytest.raises(SensoriumError):
        pulled("org/m:../../config.json", place)


# The hub's interface itself


def test_the_interface_is_asked_again(hub: FakeHub, place: Place) -> None:
    answers = [Response(status_code=500), Response(status_code=429, headers={"retry-after": "1"})]
    hub.api_trouble = lambda number: answers[number] if number < len(answers) else None
    assert pulled("org/m", place).verified


def test_an_interface_that_says_no(hub: FakeHub, place: Place) -> None:
    hub.api_trouble = lambda _: Response(status_code=429, headers={"retry-after": "3600"})
    error = refused("org/m", place)
    assert isinstance(error, UnavailableError)
    assert not isinstance(error, RateLimitedError)
    assert error.retry_after_s == 3600
    for status, code, kind in (
        (403, "GatedRepo", ForbiddenError),
        (401, "GatedRepo", ForbiddenError),
        (403, "", ForbiddenError),
        (401, "RepoNotFound", NotFoundError),
        (404, "", NotFoundError),
        (418, "", UnavailableError),
    ):
        headers = {"X-Error-Code": code} if code else {}
        answer = Response(status_code=status, headers=headers)
        hub.api_trouble = lambda _, answer=answer: answer  # type: ignore[misc]
        assert isinstance(refused("org/m", place), kind), (status, code)


def test_an_endpoint_that_is_no_hub(hub: FakeHub, place: Place) -> None:
    hub.api_trouble = lambda _: PlainTextResponse("<html>hello</html>")
    assert "is the endpoint a hub?" in refused("org/m", place).message
    nobody = replace(place, endpoint="http://127.0.0.1:9")
    assert "cannot be reached" in refused("org/m", nobody).message
