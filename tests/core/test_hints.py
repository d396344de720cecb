"""The log's hints: what a wrong audience, role or scope was probably meant to be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from entra_guard import AccessError, Guard, Tenants, requires
from entra_guard.principal import acting

if TYPE_CHECKING:
    from entra_guard.testing import Entra

API = "11112222-bbbb-3333-cccc-4444dddd5555"
OTHER = "22223333-cccc-4444-dddd-5555eeee6666"


@pytest.mark.parametrize(
    ("audience", "claims", "hint"),
    [
        ("api://orders", {"aud": "api://Orders"}, "letter case only"),
        ("https://orders.example/api", {"aud": "api://orders.example/api"}, "differs in the scheme"),
        ("api://orders", {"aud": "api://orders/Orders.Read"}, "the name of a scope at its end"),
        ("api://orders", {"aud": "api://order"}, "almost the same"),
        ("api://orders", {"aud": "orders"}, "lacks 'api://'"),
        (API, {"aud": OTHER}, "another registration of the same tenant"),
        (API, {"aud": f"api://{OTHER}"}, "another registration of the same tenant"),
        (API, {"aud": OTHER, "azp": OTHER}, "requested its own client id"),
        (OTHER, {"aud": API, "azp": OTHER}, "the configured audience is the client id of the caller"),
        ("api://contoso.com/orders", {"aud": API}, "v2.0 tokens have the API's client id"),
        (f"api://{API}/Orders.Read", {"aud": API}, "has more in it than the client id"),
        (API, {"aud": "https://management.azure.com/"}, "a token for Azure Resource Manager"),
        (API, {"aud": "https://vault.azure.net"}, "a token for Key Vault"),
    ],
)
def test_a_wrong_audience_has_a_hint(entra: Entra, audience: str, claims: dict[str, Any], hint: str) -> None:
    guard: Guard = entra.guard(audience=audience)
    token = entra.token(roles=["Orders.Read"], claims=claims)
    with pytest.raises(AccessError) as caught:
        guard.verify(token)
    assert caught.value.reason == "wrong_audience"
    assert hint in str(caught.value.facts["hint"])
    assert hint in caught.value.report()


@pytest.mark.parametrize(
    ("audience", "hint"), [("api://contoso.com/orders", "v2.0 tokens have the API's client id"), (OTHER, "")]
)
def test_an_api_for_several_tenants_gets_the_hint_that_needs_no_tenant(
    entra: Entra, audience: str, hint: str
) -> None:
    guard = entra.guard(tenant=Tenants.organizations("a public API"), audience=audience)
    with pytest.raises(AccessError) as caught:
        guard.verify(entra.token(roles=["Orders.Read"], claims={"aud": API}))
    assert (hint in str(caught.value.facts["hint"])) if hint else caught.value.facts["hint"] == ""


@pytest.mark.parametrize(
    ("needed", "has", "hint"),
    [
        (
            {"roles": ["Orders.Read"]},
            {"roles": ["orders.read"]},
            "'orders.read': names differ by letter case",
        ),
        ({"roles": ["Orders.Read"]}, {"roles": ["Orders_Read"]}, "written differently"),
        (
            {"roles": ["Orders.Read"]},
            {"roles": ["Orders.Read.All"]},
            "another role: neither includes the other",
        ),
        ({"roles": ["Orders.Read"]}, {"scopes": ["Orders.Read"]}, "as a scope, and a role is required"),
        ({"scopes": ["Orders.Read"]}, {"roles": ["Orders.Read"]}, "as a role, and a scope is required"),
        ({"scopes": ["Orders.Read"]}, {"roles": ["Orders.Write"]}, "the token is app-only"),
        ({"scopes": ["Orders.Read"]}, {"scopes": ["ORDERS.READ"]}, "names differ by letter case"),
        ({"roles": ["Orders.Read"]}, {"roles": ["Invoices.Read"]}, ""),
    ],
)
def test_a_missing_name_has_a_hint(
    entra: Entra, needed: dict[str, Any], has: dict[str, Any], hint: str
) -> None:
    with acting(entra.principal(**has)), pytest.raises(AccessError) as caught:
        requires(**needed)(lambda: None)()
    [name] = next(iter(needed.values()))
    assert caught.value.facts["missing"] == name
    assert (hint in str(caught.value.facts["hint"])) if hint else caught.value.facts["hint"] == ""
