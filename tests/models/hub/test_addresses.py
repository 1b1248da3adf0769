"""Where requests may go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorium.core.errors import UnavailableError
from sensorium.models.hub.addresses import Reach, follow, origin, reach


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", Reach.LOOPBACK),
        ("127.8.8.8", Reach.LOOPBACK),
        ("::1", Reach.LOOPBACK),
        ("::ffff:127.0.0.1", Reach.LOOPBACK),
        ("64:ff9b::7f00:1", Reach.LOOPBACK),
        ("2002:7f00:1::", Reach.LOOPBACK),
        ("10.0.0.1", Reach.PRIVATE),
        ("172.16.0.1", Reach.PRIVATE),
        ("192.168.1.1", Reach.PRIVATE),
        ("100.64.0.1", Reach.PRIVATE),
        ("fd00::1", Reach.PRIVATE),
        ("::ffff:10.0.0.1", Reach.PRIVATE),
        ("8.8.8.8", Reach.PUBLIC),
        ("2606:4700::1111", Reach.PUBLIC),
        ("64:ff9b::808:808", Reach.PUBLIC),
        ("0.0.0.0", None),
        ("::", None),
        ("169.254.169.254", None),
        ("::ffff:169.254.169.254", None),
        ("64:ff9b::a9fe:a9fe", None),
        ("fe80::1%eth0", None),
        ("fd00:ec2::254", None),
        ("100.100.100.200", None),
        ("224.0.0.1", None),
        ("ff02::1", None),
        ("240.0.0.1", None),
    ],
)
def test_how_far_an_address_is(address: str, expected: Reach | None) -> None:
    assert reach(address) is expected


@given(st.ip_addresses())
def test_every_address_is_judged(address: object) -> None:
    assert reach(str(address)) in (None, *Reach)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/b", "https://h/b"),
        ("b?x=1#y", "https://h/a/b?x=1"),
        ("//other/b", "https://other/b"),
        ("https://other:444/b c", "https://other:444/b%20c"),
        ("https://other/ü", "https://other/%C3%BC"),
    ],
)
def test_a_redirect_leads_on(location: str, expected: str) -> None:
    assert follow("https://h/a/m", location) == expected


@pytest.mark.parametrize(
    "location",
    [
        "http://h/a/m",
        "file:///etc/passwd",
        "ftp://h/m",
        "gopher://h/",
        "data:,x",
        "https://u:p@h/m",
        "https://h:x/m",
        "https://[::1/m",
        "javascript:alert(1)",
    ],
)
def test_a_redirect_to_what_is_not_followed(location: str) -> None:
    with pytest.raises(UnavailableError) as error:
        follow("https://h/a/m", location)
    assert error.value.details["reason"] == "redirect"


def test_a_redirect_may_lead_from_http_to_https() -> None:
    assert follow("http://127.0.0.1/m", "https://h/m") == "https://h/m"


def test_an_origin_has_a_port() -> None:
    assert origin("https://Host/x") == ("https", "host", 443)
    assert origin("http://host:8080/x") == ("http", "host", 8080)
