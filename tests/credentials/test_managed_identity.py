"""The identity of the host: each kind of host with its own endpoint, header and error rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from outbound_entra import claims_of
from recording import Recording

from entra_guard.credentials import (
    ChainedCredential,
    CredentialUnavailableError,
    ManagedIdentityCredential,
    TokenAcquisitionError,
    _managed_identity,
)
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from outbound_entra import Get, OutboundEntra

CLIENT = "11112222-bbbb-3333-cccc-4444dddd5555"
HOSTS = ["virtual-machine", "app-service", "container-apps", "arc"]


@pytest.fixture(params=HOSTS)
def environ(
    request: pytest.FixtureRequest, entra: OutboundEntra, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """The environment variables of each kind of host."""
    monkeypatch.setattr(_managed_identity, "arc_folder", lambda: tmp_path)
    return entra.managed_identity_environment(request.param, folder=tmp_path)


def credential(
    entra: OutboundEntra, environ: dict[str, str], *args: str, **more: Any
) -> ManagedIdentityCredential:
    settings = {name: entra.credential_settings[name] for name in ("http_client", "clock", "monotonic")}
    return ManagedIdentityCredential(*args, environ=environ, **{**settings, **more})


def identity_requests(entra: OutboundEntra) -> int:
    return entra.count("identity")


def test_a_host_has_a_system_assigned_identity(
    entra: OutboundEntra, get: Get, environ: dict[str, str]
) -> None:
    identity = entra.add_managed_identity("host", system_assigned=True)
    entra.add_managed_identity("another")
    token = get(credential(entra, environ), entra.scope)
    claims = claims_of(token)
    assert claims["azp"] == identity.client_id
    assert claims["aud"] == entra.api.client_id
    assert token.expires_on == pytest.approx(entra.clock.now + 24 * 3600, abs=2)


def test_the_token_is_cached_and_requested_once(
    entra: OutboundEntra, get: Get, environ: dict[str, str]
) -> None:
    entra.add_managed_identity("host", system_assigned=True)
    host = credential(entra, environ)
    get(host, entra.scope)
    before = identity_requests(entra)
    get(host, entra.scope)
    assert identity_requests(entra) == before


def test_a_user_assigned_identity_is_named_by_any_of_its_ids(
    entra: OutboundEntra, get: Get, environ: dict[str, str]
) -> None:
    entra.add_managed_identity("host", system_assigned=True)
    wanted = entra.add_managed_identity("orders")
    names = {
        "client_id": wanted.client_id,
        "object_id": wanted.principal_id,
        "resource_id": wanted.resource_path,
    }
    if "IMDS_ENDPOINT" in environ:
        names = {"client_id": wanted.client_id}  # the emulator's agent confirms no other
    for name, value in names.items():
        token = get(credential(entra, environ, **{name: value}), entra.scope)
        assert claims_of(token)["azp"] == wanted.client_id


def test_an_unknown_identity_is_the_hosts_error(
    entra: OutboundEntra, get: Get, environ: dict[str, str]
) -> None:
    with pytest.raises(TokenAcquisitionError, match=r"(?i)identity.*not found|No User Assigned") as caught:
        get(credential(entra, environ, CLIENT), entra.scope)
    assert not caught.value.retryable
    assert "The host was recognised as" in str(caught.value)


@pytest.mark.parametrize("fault", ["429", "500", "503", "silent", "dropped", "html"])
def test_a_server_error_of_the_endpoint_is_retryable(
    entra: OutboundEntra, get: Get, environ: dict[str, str], fault: str
) -> None:
    entra.add_managed_identity("host", system_assigned=True)
    host = credential(entra, environ)
    entra.fail("identity", fault)
    with pytest.raises(TokenAcquisitionError) as caught:
        get(host, entra.scope)
    assert caught.value.retryable
    entra.clear_faults()
    entra.advance(60)
    assert get(host, entra.scope)


def test_one_api_at_a_time_and_by_its_default_scope(
    entra: OutboundEntra, get: Get, environ: dict[str, str]
) -> None:
    for scopes in (("https://graph.microsoft.com",), ("api://a/.default", "api://b/.default")):
        with pytest.raises(TokenAcquisitionError, match="one API at a time"):
            get(credential(entra, environ), *scopes)


def test_the_hosts_secret_is_shown_nowhere(entra: OutboundEntra, environ: dict[str, str]) -> None:
    shown = repr(credential(entra, environ)) + repr(credential(entra, environ)._host)
    assert environ.get("IDENTITY_HEADER", "no such thing") not in shown


# --- requests to each host ---------------------------------------------------------------------------


def questions(entra: OutboundEntra, environ: dict[str, str], **identity: str) -> list[httpx.Request]:
    recording = Recording(entra.transport)
    host = credential(entra, environ, http_client=httpx.Client(transport=recording), **identity)
    host.get_token(entra.scope)
    return recording.requests


def test_a_virtual_machine_gets_its_header(entra: OutboundEntra) -> None:
    identity = entra.add_managed_identity("orders")
    environ = entra.managed_identity_environment("virtual-machine")
    [request] = questions(entra, environ, resource_id=identity.resource_path)
    assert request.headers["metadata"] == "true"
    assert dict(request.url.params) == {
        "api-version": "2018-02-01",
        "resource": entra.api.app_id_uri,
        "msi_res_id": identity.resource_path,
    }


def test_app_service_gets_its_header(entra: OutboundEntra) -> None:
    identity = entra.add_managed_identity("orders")
    environ = entra.managed_identity_environment("app-service")
    [request] = questions(entra, environ, resource_id=identity.resource_path)
    assert request.headers["x-identity-header"] == environ["IDENTITY_HEADER"]
    assert dict(request.url.params) == {
        "api-version": "2019-08-01",
        "resource": entra.api.app_id_uri,
        "mi_res_id": identity.resource_path,
    }


@pytest.fixture
def arc(entra: OutboundEntra, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setattr(_managed_identity, "arc_folder", lambda: tmp_path)
    entra.add_managed_identity("host", system_assigned=True)
    return entra.managed_identity_environment("arc", folder=tmp_path)


def test_arc_gets_a_second_request_with_its_key(
    entra: OutboundEntra, arc: dict[str, str], tmp_path: Path
) -> None:
    first, second = questions(entra, arc)
    [key] = tmp_path.glob("*.key")
    assert "authorization" not in first.headers
    assert second.headers["authorization"] == f"Basic {key.read_text()}"
    assert first.url.params["api-version"] == "2020-06-01"


@pytest.mark.parametrize("place", ["elsewhere", "below", "other name"])
def test_arc_cannot_make_us_read_another_file(
    entra: OutboundEntra, get: Get, arc: dict[str, str], tmp_path: Path, place: str
) -> None:
    [key] = tmp_path.glob("*.key")
    folder = {"elsewhere": tmp_path.parent, "below": tmp_path / "below", "other name": tmp_path}[place]
    folder.mkdir(exist_ok=True)
    target = folder / ("passwd" if place == "other name" else key.name)
    target.write_text("root:x:0:0")
    challenge = {"www-authenticate": f"Basic realm={target}"}
    requests = []

    def agent(request: httpx.Request) -> httpx.Response:  # the emulator names no file but the right one
        requests.append(request)
        return httpx.Response(401, headers=challenge, json={"error": "unauthorized_client"})

    lying = credential(entra, arc, http_client=httpx.Client(transport=httpx.MockTransport(agent)))
    with pytest.raises(TokenAcquisitionError, match=r"named no \.key file"):
        get(lying, entra.scope)
    assert len(requests) == 1


def test_an_arc_agent_too_old_to_know_the_identity_is_found_out(
    entra: OutboundEntra, get: Get, arc: dict[str, str]
) -> None:
    identity = entra.add_managed_identity("orders")
    with pytest.raises(TokenAcquisitionError, match="without the identity that was requested"):
        get(credential(entra, arc, object_id=identity.principal_id), entra.scope)


def test_without_other_variables_the_metadata_service_is_called() -> None:
    host = ManagedIdentityCredential(environ={})._host
    assert host.url == "http://169.254.169.254/metadata/identity/oauth2/token"
    assert not ManagedIdentityCredential(environ={})._client()._trust_env


def test_outside_of_azure_the_error_says_so_at_once(entra: OutboundEntra, get: Get) -> None:
    entra.fail("identity", "refused")
    environ = entra.managed_identity_environment("virtual-machine")
    with pytest.raises(TokenAcquisitionError, match="This is not a host of Azure") as caught:
        get(credential(entra, environ), entra.scope)
    assert "not a host of Azure" in caught.value.hint


UNSUPPORTED = {
    "Service Fabric": {
        "IDENTITY_ENDPOINT": "https://x",
        "IDENTITY_HEADER": "y",
        "IDENTITY_SERVER_THUMBPRINT": "z",
    },
    "Azure Machine Learning": {"MSI_ENDPOINT": "http://127.0.0.1:46808/MSI/auth", "MSI_SECRET": "x"},
    "Cloud Shell": {"MSI_ENDPOINT": "http://localhost:50342"},
}


@pytest.mark.parametrize("host", UNSUPPORTED)
def test_on_an_unsupported_host_a_chain_can_be_built_and_used(
    entra: OutboundEntra, get: Get, host: str
) -> None:
    unsupported = ManagedIdentityCredential(environ=UNSUPPORTED[host])
    assert host in repr(unsupported)
    with pytest.raises(CredentialUnavailableError, match=f"as on {host}, .* not supported here"):
        get(unsupported, entra.scope)
    for chain in (
        ChainedCredential(entra.credential(), unsupported),
        ChainedCredential(unsupported, entra.credential()),
    ):
        assert get(chain, entra.scope).token


def test_an_identity_is_named_once_and_by_a_guid() -> None:
    with pytest.raises(ConfigurationError, match="give only one of client_id and object_id"):
        ManagedIdentityCredential(CLIENT, object_id=CLIENT, environ={})
    for name in ("client_id", "object_id"):
        with pytest.raises(ConfigurationError, match=f"{name} must be a GUID"):
            ManagedIdentityCredential(environ={}, **{name: "orders"})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"http_client": httpx.AsyncClient()}, "http_client"),
        ({"cache_size": "5"}, "cache_size"),
        ({"clock": 5}, "clock"),
    ],
)
def test_settings_of_another_kind_fail_when_it_is_built(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        ManagedIdentityCredential(environ={}, **settings)
