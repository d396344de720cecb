"""An emulator for other containers: https only, a certificate for its name, and a secret for all that is open."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from click.testing import CliRunner

from entra_guard import Guard
from entra_guard.cli._emulator_content import prepare
from entra_guard.cli._group import group
from entra_guard.emulator import CONTOSO, Emulator
from entra_guard.emulator._directory.samples import SECRET
from entra_guard.emulator._public_gate import sample_secret

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "entra.test"
SHARED = "a-shared-secret-of-the-test"
LOGIN = ("any name", SHARED)


@pytest.fixture(scope="module")
def public() -> Iterator[Emulator]:
    emulator = Emulator(host=NAME, shared_secret=SHARED)
    prepare(emulator, state=None, seed=None, identity="vm", secret=SHARED)
    with emulator:
        yield emulator


class Named(httpx.HTTPTransport):
    """Send requests for the name to 127.0.0.1, as the DNS of a container network does."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions["sni_hostname"] = NAME
        request.url = request.url.copy_with(host="127.0.0.1")
        return super().handle_request(request)


@pytest.fixture
def web(public: Emulator) -> Iterator[httpx.Client]:
    with httpx.Client(transport=Named(verify=public.ssl_context()), base_url=public.url) as web:
        yield web


def test_it_serves_https_only_under_its_name(public: Emulator, web: httpx.Client) -> None:
    assert public.url == public.https_url
    assert public.url.startswith(f"https://{NAME}:")
    found = web.get(f"/{CONTOSO}/v2.0/.well-known/openid-configuration").json()
    assert found["issuer"] == f"{public.url}/{CONTOSO}/v2.0"


def test_an_api_and_a_client_elsewhere_need_no_shared_secret(public: Emulator, web: httpx.Client) -> None:
    found = public.directory_service.samples.find_samples(secret_value=sample_secret(SHARED))
    assert found
    form = {
        "grant_type": "client_credentials",
        "client_id": found.daemon.client_id,
        "client_secret": found.secret.value,
        "scope": found.api.default_scope,
    }
    answer = web.post(f"/{CONTOSO}/oauth2/v2.0/token", data=form)
    guard = Guard(tenant=CONTOSO, audience=found.api.client_id, authority=public.url, http_client=web)
    assert guard.verify(answer.json()["access_token"]).roles == ("Orders.Read",)
    known = web.post(f"/{CONTOSO}/oauth2/v2.0/token", data={**form, "client_secret": SECRET})
    assert known.json()["error_codes"] == [7000215], "the secret that everybody knows"


CLOSED = [
    ("GET", "/"),
    ("GET", "/portal/"),
    ("GET", "/PORTAL/discovery/keys"),
    ("GET", "/portal/static/portal.css"),
    ("GET", "/_emu/state"),
    ("POST", "/_emu/token"),
    ("POST", "/_emu/oauth2/v2.0/token"),
    ("GET", "/_emu/export"),
    ("GET", f"/{CONTOSO}/oauth2/v2.0/authorize"),
    ("POST", f"/{CONTOSO}/oauth2/v2.0/authorize"),
    ("GET", f"/{CONTOSO}/adminconsent?auto=1"),
    ("GET", "/devicelogin"),
    ("GET", "/metadata/identity/oauth2/token?resource=x"),
    ("GET", "/msi/token?resource=x"),
    ("GET", "/nonsense"),
    ("OPTIONS", "/_emu/token"),
]


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_what_needs_no_credential_needs_the_shared_secret(web: httpx.Client, method: str, path: str) -> None:
    logins: list[Any] = [None, ("any name", SHARED[:-1]), ("any name", ""), (SHARED, "")]
    for login in logins:
        refused = web.request(method, path, auth=login)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Basic ")
    bearer = web.request(method, path, headers={"authorization": f"Bearer {SHARED}"})
    assert bearer.status_code == 401
    allowed = web.request(method, path, auth=LOGIN)
    assert not allowed.headers.get("www-authenticate", "").startswith("Basic")


def test_another_name_is_refused_even_with_the_secret(web: httpx.Client) -> None:
    for host in ("attacker.example", NAME, f"{NAME}:1"):
        assert web.get("/_emu/state", auth=LOGIN, headers={"host": host}).status_code == 421


def test_control_works_with_the_secret(web: httpx.Client) -> None:
    assert web.get("/_emu/state", auth=LOGIN).json()["tenants"][0]["id"] == CONTOSO
    imds = {"resource": "https://vault.azure.net", "api-version": "2018-02-01"}
    answer = web.get("/metadata/identity/oauth2/token", params=imds, headers={"Metadata": "true"}, auth=LOGIN)
    assert "access_token" in answer.json()


@pytest.mark.parametrize(
    ("host", "secret"),
    [(NAME, ""), (NAME, "short"), ("Entra.Test", SHARED), ("a b", SHARED), ("x/..", SHARED)],
)
def test_it_is_never_open_by_default(host: str, secret: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"shared secret|host name"):
        Emulator(host=host, shared_secret=secret)
    file = tmp_path / "secret"
    file.write_text(f"{secret}\n")
    done = CliRunner().invoke(group, ["emulator", "--host", host, "--secret-file", str(file)])
    assert (done.exit_code, "unusable_host" in done.output) == (1, True)


def test_the_known_secret_is_removed_from_a_state_and_a_seed(tmp_path: Path) -> None:
    seed = tmp_path / "seed.json"
    app = {"name": "Daemon", "secrets": [SECRET, "another-secret-of-mine"]}
    seed.write_text(json.dumps({"tenants": [{"name": "Contoso", "apps": [app]}]}))
    emulator = Emulator()
    prepare(emulator, state=None, seed=seed, identity=None, secret=SHARED)
    held = [c.secrets for c in emulator.directory.credentials.values() if c.secrets]
    assert [[secret.hint for secret in secrets] for secrets in held] == [["ano"]]
