"""Which configurations an authority may have, and how its URLs may be written."""

from __future__ import annotations

import pytest

from entra_guard import Authority, ConfigurationError
from entra_guard._common.http import is_safe
from entra_guard._keys.discovery import ConfigurationRefusedError, read_configuration

TENANT = "c0c05a00-1d00-4a11-8b0b-0c0a11ce0001"
HOST = "https://login.example.com"


def document(host: str = HOST, **changes: object) -> dict[str, object]:
    return {"issuer": f"{host}/{TENANT}/v2.0", "jwks_uri": f"{host}/{TENANT}/keys"} | changes


@pytest.mark.parametrize(
    "url",
    [
        "https://[bad",
        "https://host:abc",
        "https://host:99999",
        "https://a b",
        "https://a\udc80b",
        "https://a\nb",
    ],
)
def test_what_is_no_url_is_refused_wherever_it_stands(url: str) -> None:
    assert not is_safe(url)
    with pytest.raises(ConfigurationError):
        Authority.named(url)
    for name in ("issuer", "jwks_uri"):
        with pytest.raises(ConfigurationRefusedError, match=name):
            read_configuration(Authority.named(HOST), TENANT, document(**{name: url}), None)


@pytest.mark.parametrize("written", ["https://login.example.com:443", "https://Login.Example.com"])
def test_a_host_is_the_same_however_it_is_written(written: str) -> None:
    assert read_configuration(Authority.named(written), TENANT, document(), None)[0].tenant_id == TENANT
    plain = {"issuer": HOST, "jwks_uri": f"{HOST}/keys"}
    assert read_configuration(Authority.openid(written), "", plain, None)[0].v2 == HOST


def test_another_port_is_another_host() -> None:
    with pytest.raises(ConfigurationRefusedError, match="another host"):
        read_configuration(Authority.named(f"{HOST}:8443"), TENANT, document(), None)


def test_a_v1_issuer_of_another_tenant_is_refused() -> None:
    other = {"issuer": f"{HOST}/aaaabbbb-0000-cccc-1111-dddd2222eeee/"}
    with pytest.raises(ConfigurationRefusedError, match="of another tenant"):
        read_configuration(Authority.named(HOST), TENANT, document(), other)


def test_b2c_keeps_its_keys_on_its_own_host() -> None:
    policy = Authority.named("https://c.b2clogin.com/c.onmicrosoft.com/b2c_1_signin")
    found = {"issuer": f"https://c.b2clogin.com/{TENANT}/v2.0/", "jwks_uri": f"{policy.url}/keys"}
    assert read_configuration(policy, "", found, None)[1] == f"{policy.url}/keys"
    with pytest.raises(ConfigurationRefusedError, match="jwks_uri"):
        read_configuration(policy, "", found | {"jwks_uri": "https://elsewhere.example/keys"}, None)


def test_any_other_openid_issuer_says_itself_where_its_keys_are_over_https() -> None:
    issuer = Authority.openid("https://issuer.example")
    found = {"issuer": "https://issuer.example", "jwks_uri": "https://keys.example/keys"}
    assert read_configuration(issuer, "", found, None)[1] == "https://keys.example/keys"
    with pytest.raises(ConfigurationRefusedError, match="not an https URL"):
        read_configuration(issuer, "", found | {"jwks_uri": "http://keys.example/keys"}, None)
