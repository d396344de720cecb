"""Registrations follow Entra's rules, and errors name the fix."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from entra_guard.emulator import FABRIKAM, AppRole, Emulator, RegistrationError, Scope

if TYPE_CHECKING:
    from entra_guard.testing import Entra

MULTI = "AzureADMultipleOrgs"
GUID = "8f1c0f3e-0000-4000-8000-000000000001"
PERSONAL = "AzureADandPersonalMicrosoftAccount"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": ""}, "1 to 120 characters"),
        ({"name": "x" * 121}, "1 to 120 characters"),
        ({"name": "x" * 91, "accounts": PERSONAL}, "1 to 90 characters"),
        ({"accounts": "Everyone"}, "use one of AzureADMyOrg"),
        ({"token_version": 3}, "use 1, 2 or None"),
        ({"accounts": PERSONAL, "token_version": None}, "v2.0 tokens only"),
        ({"accounts": PERSONAL, "app_roles": ["Read"]}, "cannot have app roles"),
        ({"accounts": PERSONAL, "scopes": ["x" * 41]}, "1 to 40 characters"),
        ({"accounts": PERSONAL, "scopes": [f"s{n}" for n in range(101)]}, "at most 100 scopes"),
        ({"accounts": PERSONAL, "identifier_uris": ["urn:orders"]}, "no urn:"),
        ({"accounts": PERSONAL, "identifier_uris": ["https://o.example/?q"]}, "no query"),
        (
            {"accounts": PERSONAL, "identifier_uris": [f"https://o.example/{n}" for n in range(51)]},
            "may have 50",
        ),
        ({"app_roles": ["has space"]}, "no space"),
        ({"app_roles": ['a"])or(print("']}, "no quotes"),
        ({"app_roles": ["\N{LATIN SMALL LETTER O WITH STROKE}"]}, "ASCII"),
        ({"scopes": ['a"b']}, "no quotes"),
        ({"scopes": ["a\x1b[31m"]}, "ASCII"),
        ({"identifier_uris": ['api://a"b']}, "is not a URI"),
        ({"identifier_uris": ["api://a\nb"]}, "is not a URI"),
        ({"app_roles": [".dot"]}, "no leading dot"),
        ({"app_roles": ["x" * 121]}, "up to 120 ASCII"),
        ({"app_roles": [AppRole("1", "Read", ("Robot",))]}, "User, Application or both"),
        ({"app_roles": [AppRole("1", "Read")]}, "the id '1' is not a GUID"),
        ({"app_roles": [AppRole(f"{GUID}\n", "Read")]}, "is not a GUID"),
        (
            {"app_roles": [AppRole(GUID, "Read"), AppRole(GUID.upper(), "Write")]},
            "App role id .* defined twice",
        ),
        ({"scopes": [Scope("use", "use")]}, "the id 'use' is not a GUID"),
        ({"scopes": [Scope(f"{{{GUID}}}", "use")]}, "is not a GUID"),
        ({"scopes": [Scope(GUID, "read"), Scope(GUID, "write")]}, "Scope id .* defined twice"),
        ({"app_roles": ["Read", "Read"]}, "defined twice"),
        ({"scopes": ["has space"]}, "no space"),
        ({"scopes": ["a", "a"]}, "defined twice"),
        ({"identifier_uris": ["orders"]}, "is not a URI"),
        ({"identifier_uris": ["api://orders"], "token_version": 1}, "HostNameNotOnVerifiedDomain"),
    ],
)
def test_a_registration_entra_would_refuse_is_refused(
    entra: Emulator, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(RegistrationError, match=words):
        entra.register_app(**{"name": "Orders", **options})


@pytest.mark.parametrize(
    "options",
    [
        {"identifier_uris": ["api://orders"]},
        {"identifier_uris": ["https://orders.contoso.onmicrosoft.com"], "token_version": 1},
        {"identifier_uris": ["api://orders"], "token_version": 1, "accounts": MULTI},
        {"accounts": PERSONAL, "scopes": ["x" * 40]},
    ],
)
def test_a_registration_entra_would_accept_is_accepted(entra: Emulator, options: dict[str, Any]) -> None:
    assert entra.register_app("Orders", **options).name == "Orders"


def test_an_app_id_uri_belongs_to_one_app(entra: Entra) -> None:
    with pytest.raises(RegistrationError, match="belongs to The API under test"):
        entra.register_app("Copy", identifier_uris=entra.api.identifier_uris)


def test_an_app_with_personal_accounts_has_at_most_two_secrets(entra: Emulator) -> None:
    app = entra.register_app("Shop", accounts=PERSONAL)
    first, _ = entra.add_secret(app), entra.add_secret(app)
    with pytest.raises(RegistrationError, match="remove one first"):
        entra.add_secret(app)
    entra.remove_secret(app, first.key_id)
    entra.add_secret(app)


def test_a_secret_is_shown_once_and_never_in_a_repr(entra: Entra) -> None:
    secret = entra.secret
    everything = f"{secret!r} {entra!r} {entra.caller!r} {entra.store.state!r} {entra.snapshot()!r}"
    assert len(secret.value) == 40
    assert secret.value.startswith(secret.hint)
    assert secret.value not in everything
    assert "PRIVATE" not in everything


def test_removing_an_unknown_secret_raises(entra: Entra) -> None:
    with pytest.raises(LookupError, match="The caller has no secret"):
        entra.remove_secret(entra.caller, "nothing")


@pytest.mark.parametrize(
    ("roles", "words"),
    [
        ((), "No app role is named. The API under test offers: Orders.Read, Orders.Write"),
        (("Orders.Delete",), "has no app role 'Orders.Delete'. It offers: Orders.Read, Orders.Write"),
    ],
)
def test_a_grant_requires_roles_of_the_api(entra: Entra, roles: tuple[str, ...], words: str) -> None:
    with pytest.raises(RegistrationError, match=words):
        entra.grant(entra.caller, entra.api, *roles)


def test_a_role_is_granted_only_to_its_member_types(entra: Emulator) -> None:
    roles = [
        AppRole(str(uuid.uuid4()), "People", ("User",)),
        AppRole(str(uuid.uuid4()), "Robots", ("Application",)),
        AppRole(str(uuid.uuid4()), "Off", enabled=False),
    ]
    api = entra.register_app("Orders", app_roles=roles)
    with pytest.raises(RegistrationError, match="does not offer 'People' to Applications"):
        entra.grant(api, api, "People")
    with pytest.raises(RegistrationError, match="does not offer 'Robots' to Users"):
        entra.assign("alice", api, "Robots")
    with pytest.raises(RegistrationError, match="'Off' of Orders is disabled"):
        entra.grant(api, api, "Off")


def test_a_delegated_grant_requires_scopes_of_the_api(entra: Entra) -> None:
    with pytest.raises(
        RegistrationError, match=r"has no scope 'everything'. The API under test offers: access_as_user"
    ):
        entra.grant_delegated(entra.caller, entra.api, "everything")


def test_a_single_tenant_app_is_refused_in_another_tenant(entra: Entra) -> None:
    with pytest.raises(RegistrationError, match="single-tenant app"):
        entra.grant(entra.caller, entra.api, "Orders.Read", tenant=FABRIKAM)


def test_a_multi_tenant_app_gets_a_service_principal_in_another_tenant(entra: Emulator) -> None:
    app = entra.register_app("Suite", accounts=MULTI)
    abroad = entra.consent(app, tenant=FABRIKAM)
    assert abroad.id != app.service_principal_id
    assert entra.consent(app, tenant="fabrikam.onmicrosoft.com") == abroad


def test_updating_a_registration_does_not_change_the_old_object(entra: Entra) -> None:
    changed = entra.update_app(entra.api, token_version=1)
    assert (entra.api.token_version, changed.token_version) == (2, 1)
    assert entra.find_app(entra.api) == changed


def test_users_are_found_by_any_name(entra: Emulator) -> None:
    alice = entra.find_user("alice")
    assert entra.find_user("alice@contoso.onmicrosoft.com") == entra.find_user(alice.id) == alice
    assert entra.find_user("carol").is_guest
    assert not entra.find_user("carol", FABRIKAM).is_guest


def test_users_guests_groups_and_tenants_can_be_added(entra: Emulator) -> None:
    tenant = entra.add_tenant("Woodgrove Bank")
    erin = entra.add_user("erin.evans", tenant=tenant)
    guest = entra.add_user("erin.evans", home=tenant)
    group = entra.add_group("Auditors", guest, "bob")
    assert tenant.domain == "woodgrovebank.onmicrosoft.com"
    assert (erin.upn, erin.display_name) == ("erin.evans@woodgrovebank.onmicrosoft.com", "Erin Evans")
    assert guest.upn == "erin.evans_woodgrovebank.onmicrosoft.com#EXT#@contoso.onmicrosoft.com"
    assert group.members == (guest.id, entra.find_user("bob").id)


@pytest.mark.parametrize(
    "look",
    [
        lambda entra: entra.find_app("nobody"),
        lambda entra: entra.find_user("nobody"),
        lambda entra: entra.find_tenant("nowhere"),
    ],
)
def test_a_missing_entry_raises_a_lookup_error(entra: Emulator, look: Any) -> None:
    with pytest.raises(LookupError, match="There is no"):
        look(entra)


def test_a_missing_user_is_refused_with_the_names_that_its_tenant_has(entra: Emulator) -> None:
    tenant = entra.add_tenant("Woodgrove Bank")
    with pytest.raises(LookupError, match=r"call add_user\('erin'\) first\.$"):
        entra.find_user("erin", tenant)
    entra.add_user("frank", tenant=tenant)
    with pytest.raises(LookupError, match=r"first, or use one of: frank\.$"):
        entra.find_user("erin", tenant)


def test_names_must_be_unique(entra: Entra) -> None:
    with pytest.raises(RegistrationError, match="already"):
        entra.add_tenant("Contoso")
    with pytest.raises(RegistrationError, match="already"):
        entra.add_user("alice")
    with pytest.raises(RegistrationError, match="already"):
        entra.register_app("Again", client_id=entra.api.client_id, identifier_uris=())


def test_the_same_seed_gives_the_same_directory() -> None:
    def secret(seed: int | None) -> tuple[str, str]:
        entra = Emulator(seed=seed)
        app = entra.register_app("Orders")
        return app.client_id, entra.add_secret(app).value

    assert secret(1) == secret(1)
    assert len({secret(1), secret(2), secret(None), secret(None)}) == 4


def test_a_snapshot_restores_everything(entra: Entra) -> None:
    before, kid = entra.snapshot(), entra.signing_key.kid
    entra.register_app("Later")
    entra.rotate_keys()
    entra.fail("keys", "500")
    entra.freeze(0)
    entra.restore(before)
    assert entra.signing_key.kid == kid
    assert not entra.faults
    assert entra.now() > 0
    assert "Later" not in {app.name for app in entra.directory.apps.values()}


def test_reset_restores_the_initial_state(entra: Entra) -> None:
    entra.reset()
    assert entra.api.client_id not in entra.directory.apps


def test_a_restored_emulator_never_reuses_a_key_for_a_rotation(entra: Emulator) -> None:
    before = entra.snapshot()
    first = entra.rotate_keys()
    entra.restore(before)
    assert entra.rotate_keys().kid != first.kid
