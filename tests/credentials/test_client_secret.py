"""The token request with a client secret: its format, its host, and the mistakes that fail at once."""

from __future__ import annotations

import json
import os
import ssl
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from outbound_entra import claims_of, wait_until_idle
from recording import Recording
from served_entra import served

from entra_guard.credentials import ClientSecretCredential, EnvironmentCredential, TokenAcquisitionError
from entra_guard.credentials._application import merged_claims
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from outbound_entra import Get, OutboundEntra

TENANT = "aaaabbbb-0000-cccc-1111-dddd2222eeee"
CLIENT = "11112222-bbbb-3333-cccc-4444dddd5555"
CP1 = {"xms_cc": {"values": ["cp1"]}}


@pytest.fixture
def recording(entra: OutboundEntra) -> Recording:
    return Recording(entra.transport)


def test_one_form_is_sent_to_the_authority_alone(
    entra: OutboundEntra, get: Get, recording: Recording
) -> None:
    credential = entra.credential(http_client=httpx.Client(transport=recording))
    get(credential, entra.scope)
    entra.advance(3000)
    get(credential, entra.scope)
    wait_until_idle(credential)
    url = f"{entra.url}/{entra.tenant_id}/oauth2/v2.0/token"
    assert [(request.method, str(request.url)) for request in recording.requests] == [("POST", url)] * 2
    form = recording.forms[0]
    assert json.loads(form.pop("claims")) == {"access_token": CP1}
    assert form == {
        "grant_type": "client_credentials",
        "client_id": entra.caller.client_id,
        "client_secret": entra.secret.value,
        "scope": entra.scope,
    }


def test_the_token_is_the_apps_own(entra: OutboundEntra, get: Get) -> None:
    claims = claims_of(get(entra.credential(), entra.scope))
    assert claims["azp"] == entra.caller.client_id
    assert claims["roles"] == ["Orders.Read"]


def test_claims_bypass_the_cache_and_are_merged_with_what_the_app_can_do(
    entra: OutboundEntra, get: Get, recording: Recording
) -> None:
    credential = entra.credential(http_client=httpx.Client(transport=recording))
    first = get(credential, entra.scope)
    challenge = {"access_token": {"nbf": {"essential": True, "value": "1604106651"}}}
    second = get(credential, entra.scope, claims=json.dumps(challenge))
    assert second != first
    assert get(credential, entra.scope) == second
    assert json.loads(recording.forms[1]["claims"]) == {"access_token": {**challenge["access_token"], **CP1}}


def test_an_app_without_capabilities_declares_nothing(
    entra: OutboundEntra, get: Get, recording: Recording
) -> None:
    get(entra.credential(http_client=httpx.Client(transport=recording), capabilities=()), entra.scope)
    assert "claims" not in recording.forms[0]


def test_claims_without_capabilities_stay_as_they_are() -> None:
    assert merged_claims({}, '{"access_token":{}}') == '{"access_token":{}}'
    assert merged_claims({}, None) == ""


@pytest.mark.parametrize("claims", ["no json", "[]", '{"access_token":1}', '{"a":1,"a":2}'])
def test_claims_must_be_a_challenges(entra: OutboundEntra, get: Get, claims: str) -> None:
    with entra.expect_token_requests(0), pytest.raises(ConfigurationError, match="claims"):
        get(entra.credential(), entra.scope, claims=claims)


def test_only_the_credentials_own_tenant_may_be_requested(entra: OutboundEntra, get: Get) -> None:
    credential = entra.credential()
    token = get(credential, entra.scope)
    assert get(credential, entra.scope, tenant_id=entra.tenant_id.upper()) == token
    with pytest.raises(TokenAcquisitionError, match="for tenant") as caught:
        get(credential, entra.scope, tenant_id=TENANT)
    assert caught.value.error == "wrong_tenant"


def test_a_secret_may_be_in_a_file(entra: OutboundEntra, get: Get, tmp_path: Any) -> None:
    file = tmp_path / "secret"
    credential = entra.credential(client_secret=file)
    with (
        entra.expect_token_requests(0),
        pytest.raises(TokenAcquisitionError, match="cannot be read from") as caught,
    ):
        get(credential, entra.scope)
    assert caught.value.retryable
    file.write_text(f"{entra.secret.value}\n")
    assert get(credential, entra.scope)


FORMS = {
    "with a line break": lambda text: f"{text}\r\n".encode(),
    "with a byte order mark": lambda text: f"\ufeff{text}\n".encode(),
    "in UTF-16": lambda text: f"{text}\r\n".encode("utf-16"),
    "in UTF-16 of the other order": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "in UTF-16 without a mark": lambda text: text.encode("utf-16-le"),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_secrets_file_is_read_as_editors_save_it(
    entra: OutboundEntra, get: Get, tmp_path: Path, form: str
) -> None:
    file = tmp_path / "secret"
    file.write_bytes(FORMS[form](entra.secret.value))
    assert get(entra.credential(client_secret=file), entra.scope)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf \n", "is empty"),
        ("se\u010dret".encode(), "holds characters that are not ASCII"),
        (b"\xff\x00\xfe", "holds characters that are not ASCII"),
        (b"AZURE_CLIENT_SECRET=hunter2\nAZURE_TENANT_ID=x\n", "holds several lines or control characters"),
        (b"hunter2\x00", "holds several lines or control characters"),
    ],
)
def test_an_unusable_secrets_file_is_named_with_its_problem_and_not_quoted(
    entra: OutboundEntra, get: Get, tmp_path: Path, content: bytes, problem: str
) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    with entra.expect_token_requests(0), pytest.raises(TokenAcquisitionError) as caught:
        get(entra.credential(client_secret=file), entra.scope)
    assert f"{file} {problem}; it must hold the client secret alone." in str(caught.value)
    assert "hunter2" not in str(caught.value)


# --- authorities -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("authority", "url"),
    [
        ("public", f"https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/token"),
        ("https://login.windows.net", f"https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/token"),
        ("us-government", f"https://login.microsoftonline.us/{TENANT}/oauth2/v2.0/token"),
        ("china", f"https://login.partner.microsoftonline.cn/{TENANT}/oauth2/v2.0/token"),
        ("france", f"https://login.sovcloud-identity.fr/{TENANT}/oauth2/v2.0/token"),
        ("https://contoso.ciamlogin.com/", f"https://contoso.ciamlogin.com/{TENANT}/oauth2/v2.0/token"),
        (
            f"https://contoso.ciamlogin.com/{TENANT}/v2.0",
            f"https://contoso.ciamlogin.com/{TENANT}/oauth2/v2.0/token",
        ),
        (
            "https://contoso.b2clogin.com/contoso.onmicrosoft.com/b2c_1_signin/v2.0",
            "https://contoso.b2clogin.com/contoso.onmicrosoft.com/b2c_1_signin/oauth2/v2.0/token",
        ),
    ],
)
def test_every_cloud_has_its_token_endpoint(authority: str, url: str) -> None:
    assert ClientSecretCredential(TENANT, CLIENT, "a-secret", authority=authority)._endpoint.url == url


# --- mistakes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tenant_id": ""}, "tenant_id"),
        ({"tenant_id": "a/b"}, "tenant_id"),
        ({"tenant_id": "COMMON"}, "one tenant"),
        ({"tenant_id": "organizations"}, "one tenant"),
        ({"tenant_id": None}, "tenant_id"),
        ({"client_id": "orders"}, "client_id"),
        ({"client_secret": ""}, "got ''. Is the environment variable set?"),
        ({"client_secret": None}, "got None. Is the environment variable set?"),
        ({"client_secret": 5}, "must be the secret's value, .*, got int"),
        ({"client_secret": b"a-secret"}, "must be the secret's value, .*, got bytes"),
        ({"capabilities": iter(["cp1"])}, "capabilities must be names"),
        ({"client_secret": "from-a-file\n"}, "white space"),
        ({"authority": "http://login.example"}, "authority"),
        ({"authority": "mars"}, "authority"),
        ({"proxy": "proxy:8080"}, "proxy"),
        ({"proxy": 5}, "proxy must be"),
        ({"cache_size": -1}, "cache_size"),
        ({"cache_size": "5"}, "cache_size must be"),
        ({"cache_size": 1.5}, "cache_size must be"),
        ({"client_secret": b"a-secret"}, "client_secret"),
        ({"autority": "us-government"}, "Did you mean 'authority'"),
        ({"whatever": 1}, "no argument .whatever."),
        ({"authority": 5}, "authority must be"),
        ({"http_client": httpx.AsyncClient()}, "http_client must be an httpx.Client"),
        ({"http_client": "client"}, "http_client must be an httpx.Client"),
        ({"ssl_context": True}, "ssl_context must be"),
        ({"capabilities": 5}, "capabilities must be"),
        ({"capabilities": [5]}, "capabilities must be"),
        ({"shared": object()}, "shared must be a RedisTokens"),
        ({"clock": 5}, "clock must be"),
        ({"monotonic": 5}, "monotonic must be"),
        ({"http_client": httpx.Client(), "ssl_context": ssl.create_default_context()}, "http_client"),
    ],
)
def test_mistakes_fail_when_the_credential_is_built(changes: dict[str, Any], words: str) -> None:
    values = {"tenant_id": TENANT, "client_id": CLIENT, "client_secret": "a-secret"}
    with pytest.raises(ConfigurationError, match=words) as caught:
        ClientSecretCredential(**{**values, **changes})
    assert "from-a-file" not in str(caught.value)


def test_a_misspelt_setting_fails_also_where_the_environment_describes_nothing() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'authority'"):
        EnvironmentCredential({}, autority="us-government")


# --- its own client ----------------------------------------------------------------------------------


def test_without_a_client_given_it_makes_one_and_closes_it(entra: OutboundEntra, get: Get) -> None:
    with served(entra), entra.credential(authority=entra.url, http_client=None) as credential:
        get(credential, entra.scope)
        client = credential._endpoint.client()
        assert not client.is_closed
    assert client.is_closed


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_no_secret_goes_to_this_machine_through_a_proxy_of_the_environment(
    entra: OutboundEntra, get: Get, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with served(entra):
        authority = entra.url.replace("127.0.0.1", host).replace("localhost", host)
        with entra.credential(authority=authority, http_client=None) as credential:
            assert get(credential, entra.scope)


def test_a_proxy_of_the_users_own_choice_is_used(entra: OutboundEntra, get: Get) -> None:
    with served(entra):
        own = {"authority": entra.url, "http_client": None, "proxy": "http://127.0.0.1:9"}
        with pytest.raises(TokenAcquisitionError):
            get(entra.credential(**own), entra.scope)


def test_a_client_that_was_given_stays_open(entra: OutboundEntra) -> None:
    with entra.credential() as credential:
        credential.get_token(entra.scope)
    assert not entra.http_client.is_closed


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_its_own_connections_and_waits_for_nothing_of_its_parent(
    entra: OutboundEntra,
) -> None:
    with served(entra):
        credential = entra.credential(authority=entra.url, http_client=None)
        entra.fail("token", "slow", delay=0.3)
        waiting = threading.Thread(target=credential.get_token, args=(entra.scope,))
        waiting.start()
        entra.wait_for_token_requests(1)
        child = os.fork()
        if child == 0:
            other = credential._endpoint.client
            ok = other._made is None or other._made[0] != os.getpid()
            ok = ok and bool(credential.get_token(entra.scope))
            os._exit(0 if ok else 1)
        _pid, status = os.waitpid(child, 0)
        waiting.join()
        credential.close()
    assert os.waitstatus_to_exitcode(status) == 0
    assert entra.token_requests == 2
