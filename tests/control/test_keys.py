"""Keys: made, found, revoked, kept hashed; and what a caller may do with one."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from sensorium.control.access import Access
from sensorium.control.keys import FILE, KeyStore
from sensorium.core.dispatch import ANONYMOUS, LOCAL, Principal
from sensorium.core.errors import (
    ForbiddenError,
    NotFoundError,
    RateLimitedError,
    UnauthenticatedError,
    UnavailableError,
)


def test_a_key_is_found_by_its_text_and_nothing_else(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    key, text = store.create("mine", ("logs.*",), 5.0)
    assert store.find(text) == key
    assert key.principal() == Principal(key.id, ("logs.*",), 5.0)
    wrong = ["", "x", "sns_", "sns__", f"sns_{key.id}_", f"sns_{key.id}", text[:-1], text + "x"]
    wrong += [text.replace("sns", "abc"), text.upper(), "sns_\udcff_é"]
    assert [store.find(each) for each in wrong] == [None] * len(wrong)


def test_the_secret_is_nowhere_and_the_file_is_private(tmp_path: Path) -> None:
    _, text = KeyStore(tmp_path / "data").create("mine")
    path = tmp_path / "data" / FILE
    assert text.rpartition("_")[2] not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {each.name for each in path.parent.iterdir()} <= {FILE, f".{FILE}.lock"}


def test_another_process_sees_new_and_revoked_keys(tmp_path: Path) -> None:
    writer, reader = KeyStore(tmp_path), KeyStore(tmp_path)
    assert not reader.any_valid()
    key, text = writer.create("mine")
    reader._checked = float("-inf")  # a second passes
    assert reader.find(text) == key
    writer.revoke(key.id)
    reader._checked = float("-inf")
    assert reader.find(text) is None
    assert not reader.any_valid()
    assert [each.revoked is None for each in reader.all()] == [False]


def test_keys_made_by_many_processes_at_once_are_all_kept(tmp_path: Path) -> None:
    command = "keys", "create", "--data-dir", str(tmp_path), "--name"
    makers = [
        subprocess.Popen([sys.executable, "-m", "sensorium", *command, f"maker {number}"])
        for number in range(8)
    ]
    assert [maker.wait(110) for maker in makers] == [0] * len(makers)
    names = {key.name for key in KeyStore(tmp_path).all()}
    assert names == {f"maker {number}" for number in range(8)}


def test_one_who_waits_for_another_process_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensorium.control.keys.LOCK_S", 0.05)
    with (
        FileLock(tmp_path / f".{FILE}.lock"),
        pytest.raises(UnavailableError, match="another process holds"),
    ):
        KeyStore(tmp_path).create("late")


def test_what_cannot_be_revoked_or_read(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    with pytest.raises(NotFoundError):
        store.revoke("nobody")
    (tmp_path / FILE).write_text("{")
    with pytest.raises(UnavailableError):
        store.all()


def test_who_may_call_what(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    access = Access(store, [], key_needed=False)
    access.authorise(ANONYMOUS, "logs.cluster", public=False)
    _, text = store.create("logs only", ("logs.*", "system.echo"))
    store._checked = float("-inf")
    with pytest.raises(UnauthenticatedError):
        access.authorise(ANONYMOUS, "logs.cluster", public=False)
    access.authorise(ANONYMOUS, "system.health", public=True)
    access.authorise(LOCAL, "metrics.forecast", public=False)
    principal = access.identify(text)
    for name in ("logs.cluster", "logs.watch", "system.echo"):
        access.authorise(principal, name, public=False)
    for name in ("metrics.forecast", "system.echoes", "logsX.cluster"):
        with pytest.raises(ForbiddenError):
            access.authorise(principal, name, public=False)
    with pytest.raises(UnauthenticatedError):
        access.identify("sns_no_such")


def test_keys_from_the_settings_may_call_everything() -> None:
    access = Access(None, ["one", "two"], key_needed=False)
    assert access.key_needed
    assert access.identify("two").operations == ("*",)
    assert access.identify("one").id != access.identify("two").id
    for wrong in ("On", "onee", "", "\udcff"):
        with pytest.raises(UnauthenticatedError):
            access.identify(wrong)


def test_a_rate_is_kept_for_each_key(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("sensorium.control.access.time.monotonic", lambda: now)
    access = Access(None, [], key_needed=False)
    one, other = Principal("one", rate_per_s=2.0), Principal("other", rate_per_s=0.5)
    for _ in range(2):
        access.authorise(one, "a.b", public=False)
    with pytest.raises(RateLimitedError) as refused:
        access.authorise(one, "a.b", public=False)
    assert refused.value.retry_after_s == pytest.approx(0.5)
    access.authorise(other, "a.b", public=False)
    now += 0.5
    access.authorise(one, "a.b", public=False)
    with pytest.raises(RateLimitedError) as slower:
        access.authorise(other, "a.b", public=False)
    assert slower.value.retry_after_s == pytest.approx(1.5)
