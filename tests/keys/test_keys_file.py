"""The keys file: it carries keys over a restart and to hosts without egress, and is trusted no further."""

from __future__ import annotations

import json
import logging
import os
import stat
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from keys_entra import HOUR, Callers, KeysEntra, settle, until, visit

from entra_guard import FetchError
from entra_guard._keys import snapshot_file
from entra_guard._keys.documents import Documents

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DAY = 24 * HOUR


@pytest.fixture
def file(entra: KeysEntra, tmp_path: Path) -> Path:
    """A file that a guard has written, with Entra down ever since."""
    path = tmp_path / "keys.json"
    entra.warm_guard(keys_file=path)
    entra.fail("all", "refused")
    return path


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    saved = json.loads(path.read_text())
    change(saved)
    path.write_text(json.dumps(saved))


def test_a_guard_that_starts_in_an_outage_serves_the_keys_of_its_file(
    entra: KeysEntra, callers: Callers, file: Path
) -> None:
    guard = entra.guard(keys_file=file)
    assert guard.health().kids
    assert callers.verify(guard, entra.token()).status == 200


def test_strict_startup_is_content_with_the_keys_of_a_file(entra: KeysEntra, file: Path) -> None:
    assert entra.guard(keys_file=file, strict_startup=True).health().ready


def test_the_file_belongs_to_its_owner_alone(file: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_the_keys_of_a_file_are_as_old_as_the_file_says(
    entra: KeysEntra, callers: Callers, file: Path
) -> None:
    edit(file, lambda saved: saved.update(fetched_at=saved["fetched_at"] - 20 * HOUR))
    guard = entra.guard(keys_file=file)
    assert guard.health().age == pytest.approx(20 * HOUR, abs=60)
    entra.monotonic.advance(3 * HOUR)
    assert callers.verify(guard, entra.token()).status == 200
    entra.monotonic.advance(1.1 * HOUR)
    assert callers.verify(guard, entra.token()).status == 503


def write(content: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content) and None


def saying(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    return lambda path: edit(path, change)


def with_private_keys(saved: dict[str, Any]) -> None:
    for key in saved["keys"]["keys"]:
        key["d"] = "AQAB"


SPOILT = {
    "empty": (write(b""), "is corrupt"),
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[:-200]), "is corrupt"),
    "no object": (write(b"[]"), "is corrupt"),
    "of other types": (saying(lambda saved: saved.update(fetched_at="today")), "is corrupt"),
    "nested without end": (write(b'{"v2":' * 100_000), "is corrupt"),
    "too large": (saying(lambda saved: saved.update(padding="x" * 600_000)), "is corrupt"),
    "of another format": (saying(lambda saved: saved.update(format=2)), "has format 2"),
    "of another tenant": (
        saying(lambda saved: saved.update(tenant="contoso.com")),
        "another authority or tenant",
    ),
    "of another authority": (
        saying(lambda saved: saved.update(authority="https://login.microsoftonline.com")),
        "another authority or tenant",
    ),
    "stale": (saying(lambda saved: saved.update(fetched_at=saved["fetched_at"] - DAY)), "Pull it again"),
    "of the future": (
        saying(lambda saved: saved.update(fetched_at=saved["fetched_at"] + HOUR)),
        "this host's clock",
    ),
    "without v1.0": (saying(lambda saved: saved.update(v1=None)), "lacks the v1.0 configuration"),
    "callers-writable": (lambda path: path.chmod(0o602), "chmod 600"),
    "group-writable": (lambda path: path.chmod(0o660), "chmod 600"),
    "with a foreign jwks_uri": (
        saying(lambda saved: saved["v2"].update(jwks_uri="https://attacker.example/keys")),
        "jwks_uri",
    ),
    "with another issuer": (
        saying(
            lambda saved: saved["v2"].update(
                issuer=saved["v2"]["issuer"].replace("localhost", "attacker.localhost")
            )
        ),
        "issuer",
    ),
    "with private keys": (saying(with_private_keys), "private"),
    "without keys": (saying(lambda saved: saved["keys"].update(keys=[])), "no usable RSA signing key"),
    "a pipe": (lambda path: (path.unlink(), os.mkfifo(path, 0o600)), "not a regular file"),
    "in a folder of everybody's": (lambda path: path.parent.chmod(0o777), "chmod o-w"),
    "a directory": (lambda path: (path.unlink(), path.mkdir()), "cannot be read"),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_file_is_refused_with_a_line_in_the_log_and_the_network_has_the_word(
    entra: KeysEntra, callers: Callers, file: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    spoil, words = SPOILT[how]
    spoil(file)
    with caplog.at_level(logging.WARNING, "entra_guard.keys"):
        guard = entra.guard(keys_file=file)
    assert "keys file not used" in caplog.text
    assert words in caplog.text
    assert callers.verify(guard, entra.token()).status == 503
    entra.clear_faults()
    entra.monotonic.advance(301)
    assert callers.verify(guard, entra.token()).status == 200


def test_a_file_that_was_refused_is_used_once_its_mode_is_fixed(
    entra: KeysEntra, callers: Callers, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.chmod(0o666)
    guard = entra.guard(keys_file=file)
    for _ in range(3):
        entra.monotonic.advance(301)
        with pytest.raises(FetchError):
            guard._key_manager.fetch_now()
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert sum("keys file not used" in record.message for record in warnings) == 1
    file.chmod(0o600)
    entra.monotonic.advance(301)
    assert callers.verify(guard, entra.token()).status == 200


def test_a_file_that_seemed_to_be_of_the_future_serves_once_the_clock_is_right(
    entra: KeysEntra, callers: Callers, file: Path
) -> None:
    behind = [-7200.0]
    guard = entra.guard(keys_file=file, clock=lambda: entra.now() + behind[0])
    assert guard.health().status == "unavailable"
    settle(guard)
    behind[0] = 0.0
    entra.monotonic.advance(301)
    assert callers.verify(guard, entra.token()).status == 200


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(
    entra: KeysEntra, callers: Callers, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    os.chown(file, 12345, -1)
    guard = entra.guard(keys_file=file)
    assert "belongs to another user" in caplog.text
    assert callers.verify(guard, entra.token()).status == 503


def test_a_file_that_is_not_there_yet_is_no_reason_to_complain(
    entra: KeysEntra, callers: Callers, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    guard = entra.guard(keys_file=tmp_path / "later.json")
    assert callers.verify(guard, entra.token()).status == 200
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    until((tmp_path / "later.json").exists)


def test_a_file_that_cannot_be_written_costs_a_line_in_the_log_and_no_request(
    entra: KeysEntra, callers: Callers, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    guard = entra.guard(keys_file=tmp_path / "no" / "such" / "folder" / "keys.json")
    assert callers.verify(guard, entra.token()).status == 200
    guard._key_manager.load_now()
    assert "keys file not written" in caplog.text


def test_the_network_replaces_the_keys_of_a_file_at_the_first_request(
    entra: KeysEntra, callers: Callers, file: Path
) -> None:
    old = entra.token()
    entra.clear_faults()
    entra.rotate_keys(overlap=False)
    guard = entra.guard(keys_file=file)
    visit(guard)
    assert set(guard.health().kids) == {key.kid for key in entra.keys}
    assert callers.verify(guard, entra.token()).status == 200
    assert callers.verify(guard, old).reason == "unknown_key"


def test_a_file_does_not_choose_where_keys_are_fetched_from(entra: KeysEntra, file: Path) -> None:
    edit(file, lambda saved: saved["v2"].update(jwks_uri=saved["v2"]["jwks_uri"] + "/elsewhere"))
    entra.clear_faults()
    entra.clear_requests()
    guard = entra.guard(keys_file=file)
    visit(guard)
    assert guard.health().status == "ok"
    assert [seen.path for seen in entra.requests if "elsewhere" in seen.path] == []


def test_the_issuer_of_a_file_is_not_pinned_once_the_network_responds(
    entra: KeysEntra, callers: Callers, tmp_path: Path
) -> None:
    path, contoso = tmp_path / "keys.json", entra.find_tenant()
    entra.warm_guard(keys_file=path, tenant=contoso.domain)
    other = "11111111-2222-4333-8444-555555555555"

    def of_another_tenant(saved: dict[str, Any]) -> None:
        text = json.dumps({name: saved[name] for name in ("v1", "v2", "keys")})
        saved.update(json.loads(text.replace(contoso.id, other)))

    edit(path, of_another_tenant)
    guard = entra.guard(keys_file=path, tenant=contoso.domain)
    assert other in guard._key_manager.active_keys.issuer.v2
    visit(guard)
    assert contoso.id in guard.health().issuer
    assert callers.verify(guard, entra.token()).status == 200


def test_without_egress_a_new_file_is_read_when_it_comes(
    entra: KeysEntra, callers: Callers, file: Path, tmp_path: Path
) -> None:
    def no_way_out(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("[Errno 101] Network is unreachable", request=request)

    entra.clear_faults()
    with httpx.Client(transport=httpx.MockTransport(no_way_out)) as client:
        guard = entra.guard(keys_file=file, max_stale=7 * DAY, http_client=client)
        entra.monotonic.advance(6 * DAY)
        assert callers.verify(guard, entra.token()).status == 200
        entra.rotate_keys(overlap=False)
        brought = tmp_path / "brought.json"
        entra.warm_guard(keys_file=brought)
        brought.replace(file)
        entra.monotonic.advance(301)  # the longest back-off
        visit(guard)
        assert callers.verify(guard, entra.token()).status == 200
        assert guard.health().status == "degraded"
        entra.monotonic.advance(6.9 * DAY)
        assert callers.verify(guard, entra.token()).status == 200
        entra.monotonic.advance(0.2 * DAY)
        assert callers.verify(guard, entra.token()).status == 503
        settle(guard)


def test_an_older_file_never_replaces_newer_keys(entra: KeysEntra, callers: Callers, file: Path) -> None:
    entra.clear_faults()
    guard = entra.warm_guard(keys_file=file)
    entra.rotate_keys(overlap=False)
    assert callers.verify(guard, entra.token()).status == 200
    newest = guard.health().kids
    edit(file, lambda saved: saved.update(fetched_at=saved["fetched_at"] - HOUR))
    entra.fail("all", "refused")
    entra.monotonic.advance(2 * HOUR)
    visit(guard)
    assert guard.health().kids == newest


def test_readers_see_the_old_file_or_the_new_one_and_nothing_between(entra: KeysEntra, file: Path) -> None:
    source, documents = entra.guards[0]._key_manager.source, entra.guards[0]._key_manager.fetcher.adopted
    done = threading.Event()

    def rewrite() -> None:
        for moment in range(200):
            snapshot_file.write(file, source, documents, float(moment))
        done.set()

    writer = threading.Thread(target=rewrite)
    writer.start()
    while not done.is_set():
        assert snapshot_file.load(file).keys == documents.keys
    writer.join()
    assert snapshot_file.load(file).fetched_at == 199
    assert list(file.parent.iterdir()) == [file]


def test_a_set_of_keys_as_large_as_may_be_fetched_can_be_read_again(
    entra: KeysEntra, callers: Callers, file: Path
) -> None:
    edit(file, lambda saved: saved["keys"].update(padding=[[number] for number in range(20_000)]))
    saved = snapshot_file.load(file)
    source = entra.guard()._key_manager.source
    snapshot_file.write(file, source, Documents(saved.v2, saved.v1, saved.keys), saved.fetched_at)
    assert callers.verify(entra.guard(keys_file=file), entra.token()).status == 200


def test_what_could_not_be_read_again_is_not_written(entra: KeysEntra, file: Path) -> None:
    before, saved = file.read_bytes(), snapshot_file.load(file)
    documents = Documents(saved.v2, saved.v1, {"padding": "x" * 600_000})
    with pytest.raises(snapshot_file.KeysFileError, match="can be read again"):
        snapshot_file.write(file, entra.guard()._key_manager.source, documents, saved.fetched_at)
    assert file.read_bytes() == before


def test_a_write_that_fails_leaves_all_as_it_was(
    entra: KeysEntra, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring, before = entra.guards[0]._key_manager, file.read_bytes()

    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(snapshot_file.KeysFileError, match="No space left"):
        snapshot_file.write(file, ring.source, ring.fetcher.adopted, 1.0)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]
