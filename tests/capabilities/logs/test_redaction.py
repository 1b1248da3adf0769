"""Secrets and personal data do not show."""

import pytest

from sensorium.capabilities.logs.redaction import passes_luhn, presentable, redact


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Authorization: Bearer abcDEF123456.xx", "Authorization: Bearer <secret>"),
        ("password=hunter2 user=bob", "password=<secret> user=bob"),
        ("db postgres://bob:s3cret@db/x", "db postgres://bob:<secret>@db/x"),
        ("mail bob.b@mail.example.com now", "mail <email> now"),
        ("paid with 4111 1111 1111 1111 ok", "paid with <card> ok"),
        ("paid with 5500-0000-0000-0004 ok", "paid with <card> ok"),
        (
            "at 2024-05-01 12:00:00.123 by card 4111111111111111",
            "at 2024-05-01 12:00:00.123 by card <card>",
        ),
        ("bob@x.co and bob@x.com", "<email> and <email>"),
        (
            "old ghp_abcdefghijklmnop1234 new ghp_abcdefghijklmnop1234SECRETTAIL99",
            "old <secret> new <secret>",
        ),
        ("mail a.b@c.example and d@e.example.", "mail <email> and <email>."),
        ("order 4111111111111112 kept", "order 4111111111111112 kept"),
        ('{"api_key": "abc", "n": 1}', '{"api_key": "<secret>", "n": 1}'),
        ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcDEF-123", "jwt <secret>"),
        ("aws AKIAIOSFODNN7EXAMPLE in use", "aws <secret> in use"),
        ("x-api-key: 12345abc", "x-api-key: <secret>"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIabc", "<secret>"),
        ("tokens: 50 used", "tokens: 50 used"),
        ("Authentication: failed", "Authentication: failed"),
        ("basic authentication required", "basic authentication required"),
        ("password: null", "password: null"),
    ],
)
def test_shapes(text: str, masked: str) -> None:
    assert redact(text) == masked


def test_luhn() -> None:
    assert passes_luhn("4111111111111111")
    assert not passes_luhn("4111111111111112")


def test_examples_are_short_and_printable() -> None:
    shown = presentable("a\x00b\ud800" + "x" * 5_000, mask_secrets=False)
    assert len(shown) == 1_000
    assert shown.startswith("a b?")


def test_a_secret_at_the_cut_does_not_slip_through() -> None:
    line = "x" * 980 + " password=" + "s" * 100
    assert "password=s" not in presentable(line, mask_secrets=True)
