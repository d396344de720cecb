"""Tokens shared by processes through a real Redis: encrypted, requested once, and available when Redis fails."""

from __future__ import annotations

import base64
import json
import logging
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import redis
import redis.asyncio
from outbound_entra import claims_of, wait_until_idle
from redis_server import RedisServer
from served_entra import served

from entra_guard.cli.doctor._probe_redis import probe_shared_redis
from entra_guard.credentials import (
    AccessToken,
    OnBehalfOfCredential,
    RedisTokens,
    TokenAcquisitionError,
    new_key,
)
from entra_guard.credentials._cache import redis_tokens, shared_token_cache
from entra_guard.credentials._cache.token_cache import DEFAULT_WAIT
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from outbound_entra import Get, OutboundEntra

KEY = new_key()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def shared(server: RedisServer) -> Iterator[redis.Redis]:
    """An empty Redis."""
    with server.client() as client:
        client.flushall()
        yield client


@pytest.fixture
def breakable(tmp_path: Any) -> Iterator[RedisServer]:
    """A Redis that the test may stop or freeze."""
    with RedisServer(tmp_path) as server:
        yield server


def lines(caplog: pytest.LogCaptureFixture, words: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if words in record.getMessage()]


# --- sharing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [redis.Redis, redis.asyncio.Redis], ids=["sync", "async"])
def test_a_token_of_one_process_is_found_by_the_next_one(
    entra: OutboundEntra, get: Get, server: RedisServer, shared: redis.Redis, kind: Any
) -> None:
    def process() -> AccessToken:
        """Get a token with an empty memory, as a new process does."""
        tokens = RedisTokens(kind(host="127.0.0.1", port=server.port), KEY)
        return get(entra.credential(shared=tokens), entra.scope)

    with entra.expect_token_requests(1):
        assert process() == process()


def test_each_token_has_an_entry_of_its_own_that_ends_with_it(
    entra: OutboundEntra, get: Get, shared: redis.Redis
) -> None:
    credential = entra.credential(shared=RedisTokens(shared, KEY))
    token = get(credential, entra.scope)
    get(credential, entra.scopes_of_new_apis(1)[0])
    names = list(shared.scan_iter())
    assert len(names) == 2
    for name in names:
        assert name.startswith(b"entra_guard:token:")
        left = token.expires_on - 30 - entra.clock.now
        assert shared.pttl(name) / 1000 == pytest.approx(left, abs=60)


def test_entries_reveal_nothing_to_readers_of_redis(entra: OutboundEntra, shared: redis.Redis) -> None:
    token = entra.credential(shared=RedisTokens(shared, KEY)).get_token(entra.scope)
    [name] = shared.scan_iter()
    value = shared.get(name)
    assert isinstance(value, bytes)
    for text in (token.token, token.token.split(".")[1], entra.scope, entra.caller.client_id):
        for written in (value, base64.urlsafe_b64decode(value), name):
            assert text.encode() not in written


def test_applications_scopes_and_users_share_nothing_with_each_other(
    entra: OutboundEntra, shared: redis.Redis
) -> None:
    tokens = RedisTokens(shared, KEY)
    front = entra.register_app("Front", scopes=["access_as_user"])
    entra.grant_delegated(front, entra.api, "access_as_user")
    secret = entra.add_secret(front).value
    application = entra.credential(client_id=front.client_id, client_secret=secret, shared=tokens)
    users = [
        OnBehalfOfCredential(application, entra.issue_token(front, user=name, scopes=["access_as_user"]))
        for name in ("alice", "bob")
    ]
    credentials = [entra.credential(shared=tokens), application, *users]
    with entra.expect_token_requests(len(credentials)):
        found = {credential.get_token(entra.scope).token for credential in credentials}
    assert len(found) == len(credentials)


def test_a_claims_challenge_bypasses_the_shared_token_and_replaces_it(
    entra: OutboundEntra, get: Get, shared: redis.Redis
) -> None:
    first = get(entra.credential(shared=RedisTokens(shared, KEY)), entra.scope)
    second = get(entra.credential(shared=RedisTokens(shared, KEY)), entra.scope, claims='{"access_token":{}}')
    assert second != first
    assert get(entra.credential(shared=RedisTokens(shared, KEY)), entra.scope) == second


def test_a_challenge_never_gets_the_rejected_token_from_redis(
    entra: OutboundEntra, get: Get, shared: redis.Redis
) -> None:
    credential = entra.credential(shared=RedisTokens(shared, KEY))
    rejected = get(credential, entra.scope).token
    claims = '{"access_token":{"nbf":{"essential":true,"value":"1"}}}'
    with entra.failing("token", "503"), pytest.raises(TokenAcquisitionError, match="90033"):
        get(credential, entra.scope, claims=claims, rejected=rejected)


def test_a_token_due_for_renewal_is_renewed_by_one_and_found_by_the_others(
    entra: OutboundEntra, shared: redis.Redis
) -> None:
    processes = [entra.credential(shared=RedisTokens(shared, KEY)) for _ in range(4)]
    first = {process.get_token(entra.scope) for process in processes}
    entra.advance(2700)
    entra.fail("token", "slow", delay=0.1)
    with entra.expect_token_requests(1):
        assert {process.get_token(entra.scope) for process in processes} == first
        for process in processes:
            wait_until_idle(process)
        second = {process.get_token(entra.scope) for process in processes}
    assert len(second) == 1
    assert second != first


PROCESS = """
import json, sys
import redis
from entra_guard.credentials import ClientSecretCredential, RedisTokens

given = json.loads(sys.stdin.readline())
shared = RedisTokens(redis.Redis("127.0.0.1", given["port"]), given["key"])
credential = ClientSecretCredential(*given["ids"], given["secret"], authority=given["url"], shared=shared)
print("ready", flush=True)
sys.stdin.readline()
print(credential.get_token(given["scope"]).token[-20:], flush=True)
"""


def test_cold_processes_send_one_request_between_them(
    entra: OutboundEntra, server: RedisServer, shared: redis.Redis
) -> None:
    with served(entra):
        given = {
            "port": server.port,
            "key": KEY,
            "ids": [entra.tenant_id, entra.caller.client_id],
            "secret": entra.secret.value,
            "url": entra.url,
            "scope": entra.scope,
        }
        entra.fail("token", "slow", delay=0.2)
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        processes = [subprocess.Popen([sys.executable, "-c", PROCESS], **pipes) for _ in range(4)]
        for process in processes:
            process.stdin.write(json.dumps(given) + "\n")
            process.stdin.flush()
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        with entra.expect_token_requests(1):
            found = {process.communicate("go\n", timeout=120)[0] for process in processes}
    assert len(found) == 1
    assert found.pop().strip()


# --- locks -------------------------------------------------------------------------------------------


def lock_of(entra: OutboundEntra, shared: redis.Redis) -> str:
    """Return the name of the lock for the caller's token."""
    entra.credential(shared=RedisTokens(shared, KEY)).get_token(entra.scope)
    [name] = shared.scan_iter()
    shared.flushall()
    return name.decode().replace(":token:", ":lock:")


def test_a_lock_that_is_never_released_does_not_prevent_a_token(
    entra: OutboundEntra, get: Get, shared: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = lock_of(entra, shared)
    shared.set(lock, "a process that died", px=60_000)
    monkeypatch.setattr(shared_token_cache, "_LONGEST_WAIT", 0.2)
    with entra.expect_token_requests(1):
        assert get(entra.credential(shared=RedisTokens(shared, KEY)), entra.scope)
    assert shared.get(lock) == b"a process that died"


def test_when_the_process_with_the_lock_dies_one_other_sends_the_request(
    entra: OutboundEntra, shared: redis.Redis
) -> None:
    lock = lock_of(entra, shared)
    processes = [entra.credential(shared=RedisTokens(shared, KEY)) for _ in range(12)]
    shared.set(lock, "a process that died", px=400)
    with entra.expect_token_requests(1), ThreadPoolExecutor(12) as pool:
        tokens = set(pool.map(lambda process: process.get_token(entra.scope), processes))
    assert len(tokens) == 1
    assert shared.get(lock) is None


def test_waiting_for_a_lock_outlasts_the_lock_and_fits_into_a_callers_wait() -> None:
    longest = shared_token_cache._LONGEST_WAIT + shared_token_cache.LOCK_SECONDS
    assert 2 * shared_token_cache.LOCK_SECONDS < shared_token_cache._LONGEST_WAIT < longest < DEFAULT_WAIT


def test_a_lock_ends_by_itself_and_the_next_process_gets_it(
    entra: OutboundEntra, get: Get, shared: redis.Redis
) -> None:
    lock = lock_of(entra, shared)
    shared.set(lock, "a process that died", px=150)
    with entra.expect_token_requests(1):
        assert get(entra.credential(shared=RedisTokens(shared, KEY)), entra.scope)
    assert shared.get(lock) is None


def test_a_lock_is_released_after_success_and_after_failure(
    entra: OutboundEntra, get: Get, shared: redis.Redis
) -> None:
    get(entra.credential(shared=RedisTokens(shared, KEY)), entra.scope)
    shared.flushall()
    with pytest.raises(TokenAcquisitionError, match="7000215"):
        get(
            entra.credential(client_secret="not-the-secret-at-all", shared=RedisTokens(shared, KEY)),
            entra.scope,
        )
    assert list(shared.scan_iter()) == []


def test_a_lock_is_released_by_its_owner_alone(shared: redis.Redis) -> None:
    tokens = RedisTokens(shared, KEY)
    assert tokens.acquire_lock("name", "one", 60) is True
    assert tokens.acquire_lock("name", "two", 60) is False
    tokens.release_lock("name", "two")
    assert shared.get("entra_guard:lock:name") == b"one"
    tokens.release_lock("name", "one")
    assert shared.get("entra_guard:lock:name") is None


# --- trouble -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [redis.Redis, redis.asyncio.Redis], ids=["sync", "async"])
def test_a_check_leaves_nothing_in_redis(server: RedisServer, shared: redis.Redis, kind: Any) -> None:
    RedisTokens(kind(host="127.0.0.1", port=server.port), KEY).check()
    assert shared.keys() == []


def test_doctor_checks_the_redis_of_a_credential(
    entra: OutboundEntra, server: RedisServer, shared: redis.Redis
) -> None:
    tokens = RedisTokens(redis.Redis("127.0.0.1", server.port), KEY)
    facts = probe_shared_redis(entra.credential(shared=tokens))
    assert facts is not None
    assert (facts.where, facts.error) == ("RedisTokens entra_guard", "")


def test_a_check_of_a_user_without_permissions_fails(server: RedisServer, shared: redis.Redis) -> None:
    shared.acl_setuser("reader", enabled=True, nopass=True, keys=["*"], commands=["+get"])
    try:
        with pytest.raises(redis.exceptions.NoPermissionError):
            RedisTokens(redis.Redis("127.0.0.1", server.port, username="reader", password="x"), KEY).check()
    finally:
        shared.acl_deluser("reader")


def test_redis_being_down_costs_a_log_line(
    entra: OutboundEntra, get: Get, breakable: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    breakable.kill()
    credential = entra.credential(shared=RedisTokens(breakable.client(), KEY))
    for scope in [entra.scope, *entra.scopes_of_new_apis(5)]:
        assert get(credential, scope)
    assert len(lines(caplog, "Redis cannot be used")) == 1


def test_redis_killed_during_a_token_request_costs_a_log_line(
    entra: OutboundEntra, get: Get, breakable: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    entra.responses.hold(1)
    tokens = RedisTokens(breakable.client(), KEY)

    def kill_during_the_request() -> None:
        entra.responses.wait_for_request()
        breakable.kill()
        entra.responses.release()

    killer = threading.Thread(target=kill_during_the_request)
    killer.start()
    with entra.expect_token_requests(1):
        assert get(entra.credential(shared=tokens), entra.scope)
    killer.join()
    assert len(lines(caplog, "Redis cannot be used")) == 1


def test_a_process_that_waits_for_a_lock_continues_alone_when_redis_dies(
    entra: OutboundEntra, get: Get, breakable: RedisServer
) -> None:
    client = breakable.client()
    lock = lock_of(entra, client)
    client.set(lock, "another process", px=60_000)
    threading.Timer(0.2, breakable.kill).start()
    with entra.expect_token_requests(1):
        assert get(entra.credential(shared=RedisTokens(client, KEY)), entra.scope)
    client.close()


def test_a_redis_that_accepts_and_never_answers_costs_half_a_second_once(
    entra: OutboundEntra, get: Get, breakable: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = RedisTokens(breakable.client(socket_timeout=None), KEY)
    breakable.freeze()
    try:
        for scope in [entra.scope, *entra.scopes_of_new_apis(3)]:
            assert get(entra.credential(shared=tokens), scope)
    finally:
        breakable.thaw()
    assert len(lines(caplog, "Redis cannot be used")) == 1


def test_a_name_that_takes_its_time_to_resolve_costs_a_step_once(
    entra: OutboundEntra, get: Get, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(redis_tokens, "_STEP", 0.2)
    resolved = threading.Event()
    real = socket.getaddrinfo

    def hanging(host: Any, *more: Any, **options: Any) -> Any:
        if host != "cache.internal":
            return real(host, *more, **options)
        resolved.wait(60)
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    credential = entra.credential(shared=RedisTokens(redis.Redis("cache.internal"), KEY))
    began = time.monotonic()
    try:
        get(credential, entra.scope)
        get(credential, entra.scopes_of_new_apis(1)[0])
        assert time.monotonic() - began < 30
    finally:
        resolved.set()
    assert len(lines(caplog, "Redis cannot be used")) == 1


def test_a_foreign_lock_without_an_end_is_ignored(
    entra: OutboundEntra, get: Get, shared: redis.Redis
) -> None:
    get(entra.credential(shared=RedisTokens(shared, KEY)), entra.scope)
    [entry] = shared.scan_iter()
    shared.delete(entry)
    shared.set(entry.replace(b":token:", b":lock:"), "another process")
    began = time.monotonic()
    get(entra.credential(shared=RedisTokens(shared, KEY)), entra.scope)
    assert time.monotonic() - began < shared_token_cache._LONGEST_WAIT / 2


def test_redis_is_used_again_when_it_is_back(
    entra: OutboundEntra, get: Get, breakable: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_tokens, "_PAUSE", 0.1)
    tokens = RedisTokens(breakable.client(), KEY)
    breakable.kill()
    get(entra.credential(shared=tokens), entra.scope)
    assert breakable.start()
    time.sleep(0.1)
    get(entra.credential(shared=tokens), entra.scope)
    with entra.expect_token_requests(0):
        get(entra.credential(shared=tokens), entra.scope)


def test_tokens_are_requested_again_after_redis_lost_its_data(
    entra: OutboundEntra, get: Get, shared: redis.Redis
) -> None:
    credential = entra.credential(shared=RedisTokens(shared, KEY))
    get(credential, entra.scope)
    shared.flushall()
    entra.advance(7200)
    with entra.expect_token_requests(1):
        assert get(credential, entra.scope)


FOREIGN = ["", "nonsense", "%%%", base64.urlsafe_b64encode(b"1" + b"x" * 80), b"\xff\xfe", "1" * 10_000]


@pytest.mark.parametrize("value", FOREIGN)
def test_a_corrupt_entry_is_passed_over_and_replaced(
    entra: OutboundEntra, get: Get, shared: redis.Redis, value: Any
) -> None:
    first = get(entra.credential(shared=RedisTokens(shared, KEY)), entra.scope)
    [name] = shared.scan_iter()
    shared.set(name, value)
    with entra.expect_token_requests(1):
        second = get(entra.credential(shared=RedisTokens(shared, KEY)), entra.scope)
        assert get(entra.credential(shared=RedisTokens(shared, KEY)), entra.scope) == second
    assert second != first


def test_an_entry_of_another_kind_is_passed_over(
    entra: OutboundEntra, get: Get, shared: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    get(entra.credential(shared=RedisTokens(shared, KEY)), entra.scope)
    [name] = shared.scan_iter()
    shared.delete(name)
    shared.rpush(name, "a list")
    with entra.expect_token_requests(1):
        for _ in range(2):
            assert get(entra.credential(shared=RedisTokens(shared, KEY)), entra.scope)
    assert len(lines(caplog, "another type than ours")) == 2  # looked at before and within the turn


def test_an_entry_put_where_another_belongs_is_passed_over(
    entra: OutboundEntra, get: Get, shared: redis.Redis
) -> None:
    """A client with write access to Redis cannot give one application another one's token."""
    other = entra.scopes_of_new_apis(1)[0]
    wanted = get(entra.credential(shared=RedisTokens(shared, KEY)), entra.scope)
    [first] = shared.scan_iter()
    get(entra.credential(shared=RedisTokens(shared, KEY)), other)
    [second] = set(shared.scan_iter()) - {first}
    shared.copy(second, first, replace=True)
    found = get(entra.credential(shared=RedisTokens(shared, KEY)), entra.scope)
    assert claims_of(found)["aud"] == claims_of(wanted)["aud"]


def test_an_entry_that_has_expired_is_ignored(entra: OutboundEntra, get: Get, shared: redis.Redis) -> None:
    get(entra.credential(shared=RedisTokens(shared, KEY)), entra.scope)
    [name] = shared.scan_iter()
    shared.persist(name)
    entra.advance(2 * 3600)
    with entra.expect_token_requests(1):
        assert get(entra.credential(shared=RedisTokens(shared, KEY)), entra.scope)


def test_where_entra_fails_a_valid_token_is_found_even_by_a_process_just_started(
    entra: OutboundEntra, get: Get, shared: redis.Redis
) -> None:
    first = get(entra.credential(shared=RedisTokens(shared, KEY)), entra.scope)
    entra.advance(2700)
    entra.fail("token", "503", retry_after=5)
    late = entra.credential(shared=RedisTokens(shared, KEY))
    with entra.expect_token_requests(1):
        for _ in range(3):
            assert get(late, entra.scope).token == first.token
            wait_until_idle(late)
    entra.advance(1000)
    with pytest.raises(TokenAcquisitionError):
        get(entra.credential(shared=RedisTokens(shared, KEY)), entra.scope)


def test_a_refused_credential_gets_no_token_of_others(
    entra: OutboundEntra, get: Get, shared: redis.Redis
) -> None:
    get(entra.credential(shared=RedisTokens(shared, KEY)), entra.scope)
    entra.advance(2700)
    revoked = entra.credential(client_secret="not-the-secret-at-all", shared=RedisTokens(shared, KEY))
    with pytest.raises(TokenAcquisitionError, match="7000215"):
        get(revoked, entra.scope)


# --- keys --------------------------------------------------------------------------------------------


def test_keys_can_be_rotated_without_losing_a_token(
    entra: OutboundEntra, get: Get, shared: redis.Redis
) -> None:
    old, new = new_key(), new_key()

    def with_keys(*keys: str) -> AccessToken:
        return get(entra.credential(shared=RedisTokens(shared, keys)), entra.scope)

    first = with_keys(old)
    with entra.expect_token_requests(0):
        assert with_keys(new, old) == first
    shared.flushall()
    second = with_keys(new, old)
    with entra.expect_token_requests(0):
        assert with_keys(new) == second
    with entra.expect_token_requests(1):
        assert with_keys(old) != second


def test_a_key_may_be_bytes(entra: OutboundEntra, get: Get, shared: redis.Redis) -> None:
    raw = base64.urlsafe_b64decode(KEY)
    first = get(entra.credential(shared=RedisTokens(shared, raw)), entra.scope)
    assert get(entra.credential(shared=RedisTokens(shared, [KEY])), entra.scope) == first


@pytest.mark.parametrize("keys", [[], "", "short", b"x" * 31, ["%" * 44], [KEY, "short"], 5, [None]])
def test_a_bad_key_fails_when_it_is_given(keys: Any) -> None:
    with pytest.raises(ConfigurationError, match="key") as caught:
        RedisTokens(redis.Redis(), keys)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("client", [None, "redis://localhost", object()])
def test_an_object_that_is_not_a_client_is_refused(client: Any) -> None:
    with pytest.raises(ConfigurationError, match="client"):
        RedisTokens(client, KEY)


def test_nothing_shows_a_key_or_a_password(
    entra: OutboundEntra, get: Get, breakable: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tokens = RedisTokens(breakable.client(password="hunter2"), KEY)
    assert get(entra.credential(shared=tokens), entra.scope)
    for secret in (KEY, "hunter2"):
        assert secret not in repr(tokens) + repr(tokens._cipher) + caplog.text


def test_an_async_client_behind_a_sentinel_is_refused_in_words() -> None:
    sentinel = redis.asyncio.Sentinel([("127.0.0.1", 26379)])
    with pytest.raises(ConfigurationError, match="client that is not async"):
        RedisTokens(sentinel.master_for("tokens"), KEY)


def test_tls_and_socket_files_are_taken_over_from_either_client() -> None:
    made = [
        redis.Redis(ssl=True, host="cache.example", username="u", password="p", ssl_ca_certs="/ca.pem"),
        redis.asyncio.Redis(
            ssl=True, host="cache.example", username="u", password="p", ssl_ca_certs="/ca.pem"
        ),
        redis.Redis(unix_socket_path="/run/redis.sock", db=3),
        redis.asyncio.Redis(unix_socket_path="/run/redis.sock", db=3),
    ]
    for client in made:
        pool = RedisTokens(client, KEY)._redis.connection_pool
        kind = client.connection_pool.connection_class.__name__
        assert pool.connection_class is getattr(redis.connection, kind)
        assert pool.connection_kwargs["socket_timeout"] == 0.5
        for name in ("host", "path", "db", "username", "password", "ssl_ca_certs"):
            assert pool.connection_kwargs.get(name) == client.connection_pool.connection_kwargs.get(name)
        assert not isinstance(pool.make_connection(), redis.asyncio.Connection)
