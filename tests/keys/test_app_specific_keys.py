"""An API with its own signing key (claims mapping): its keys come from the configuration with `?appid=`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from click.testing import CliRunner

from entra_guard import Authority, ConfigurationError, Guard, Tenants
from entra_guard.cli._group import group
from entra_guard.errors import AccessError
from entra_guard.testing import Entra

if TYPE_CHECKING:
    from pathlib import Path

TENANT, API, OTHER = (
    "aaaabbbb-0000-cccc-1111-dddd2222eeee",
    "11112222-bbbb-3333-cccc-4444dddd5555",
    "99998888-bbbb-3333-cccc-4444dddd5555",
)


@pytest.fixture
def entra() -> Entra:
    made = Entra()
    made.add_signing_key(made.api)
    return made


def reason(guard: Guard, token: str) -> str:
    try:
        guard.verify(token)
    except AccessError as error:
        return error.reason
    return ""


@pytest.mark.parametrize("version", [1, 2])
def test_a_token_of_the_apps_own_key_needs_the_setting(entra: Entra, version: Any) -> None:
    token = entra.token(roles=["Orders.Read"], version=version)
    assert reason(entra.guard(), token) == "unknown_key"
    assert reason(entra.guard(app_specific_keys=True), token) == ""
    assert reason(entra.guard(app_specific_keys=entra.api.client_id.upper()), token) == ""


def test_an_app_without_its_own_key_works_with_the_setting_too() -> None:
    entra = Entra()
    assert reason(entra.guard(app_specific_keys=True), entra.token(roles=["Orders.Read"])) == ""


@pytest.mark.parametrize(
    ("audience", "app_id"),
    [
        (API, API),
        (API.upper(), API),
        (f"api://{API}", API),
        ([API, f"api://{API}"], API),
        ([API, "api://orders"], API),
        (f"api://contoso.example/{API}", API),
    ],
)
def test_true_takes_the_client_id_from_the_audience(audience: Any, app_id: str) -> None:
    guard = Guard(tenant=TENANT, audience=audience, app_specific_keys=True)
    urls = guard._key_manager.source.configuration_urls
    assert {url.partition("?")[2] for url in urls.values()} == {f"appid={app_id}"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"audience": "api://orders", "app_specific_keys": True}, "no client id.*app_specific_keys='<client"),
        ({"audience": [API, OTHER], "app_specific_keys": True}, "2 client ids"),
        ({"app_specific_keys": "orders"}, "True, False or the API's client id, got 'orders'"),
        ({"app_specific_keys": 1}, "True, False or"),
        ({"app_specific_keys": None}, "True, False or"),
        ({"app_specific_keys": f"{API}&x=1"}, "True, False or"),
        ({"app_specific_keys": True, "tenant": Tenants.only(TENANT, OTHER)}, "needs one tenant"),
        ({"app_specific_keys": True, "tenant": Tenants.everyone("test")}, "needs one tenant"),
        (
            {"app_specific_keys": True, "tenant": "", "authority": Authority.openid("https://id.example")},
            "only Entra",
        ),
    ],
)
def test_a_setting_that_cannot_work_fails_when_the_guard_is_built(
    settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Guard(**({"tenant": TENANT, "audience": API} | settings))


@pytest.mark.parametrize(
    ("text", "query"), [("true", f"?appid={API}"), (OTHER, f"?appid={OTHER}"), ("False", "")]
)
def test_the_environment_sets_it(text: str, query: str) -> None:
    guard = Guard.from_env(
        {
            "ENTRA_GUARD_TENANT": TENANT,
            "ENTRA_GUARD_AUDIENCE": API,
            "ENTRA_GUARD_APP_SPECIFIC_KEYS": text,
        }
    )
    assert guard._key_manager.source.configuration_urls["2.0"].endswith(f"configuration{query}")


def test_a_keys_file_holds_the_keys_of_one_application(entra: Entra, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    where = ["--tenant", entra.tenant_id, "--authority", entra.url]

    def run(*words: object) -> str:
        with httpx.Client(transport=entra.transport) as client:
            done = CliRunner().invoke(group, ["keys", *map(str, words)], obj={"http_client": client})
        assert done.exit_code == 0, done.output
        return done.output

    assert entra.api.client_id in run("pull", *where, "--app-specific-keys", entra.api.client_id, file)
    assert entra.api.client_id in run("show", file)
    token = entra.token(roles=["Orders.Read"])
    entra.fail("all", "refused")
    assert reason(entra.guard(keys_file=file, app_specific_keys=True), token) == ""
    assert reason(entra.guard(keys_file=file), token) == "keys_unavailable"
