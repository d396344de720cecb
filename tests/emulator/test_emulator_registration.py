"""What Entra refuses at registration, the emulator refuses, and says how to do it right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from entra_guard.emulator import FABRIKAM, AppRole, Emulator, RegistrationError

if TYPE_CHECKING:
    from emulator_office import Office

MULTI = "AzureADMultipleOrgs"
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
        ({"app_roles": [".dot"]}, "no leading dot"),
        ({"app_roles": ["x" * 121]}, "up to 120"),
        ({"app_roles": [AppRole("1", "Read", ("Robot",))]}, "User, Application or both"),
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
def test_a_registration_entra_would_take_is_taken(entra: Emulator, options: dict[str, Any]) -> None:
    assert entra.register_app("Orders", **options).name == "Orders"


def test_an_app_id_uri_belongs_to_one_app(office: Office) -> None:
    with pytest.raises(RegistrationError, match="belongs to Orders"):
        office.entra.register_app("Copy", identifier_uris=office.api.identifier_uris)


def test_an_app_with_personal_accounts_has_two_secrets_at_most(entra: Emulator) -> None:
    app = entra.register_app("Shop", accounts=PERSONAL)
    first, _ = entra.add_secret(app), entra.add_secret(app)
    with pytest.raises(RegistrationError, match="remove one first"):
        entra.add_secret(app)
    entra.remove_secret(app, first.key_id)
    entra.add_secret(app)


def test_a_secret_is_shown_once_and_never_in_a_repr(office: Office) -> None:
    entra, secret = office.entra, office.secret
    everything = f"{secret!r} {entra!r} {office.daemon!r} {entra.store.state!r} {entra.snapshot()!r}"
    assert len(secret.value) == 40
    assert secret.value.startswith(secret.hint)
    assert secret.value not in everything
    assert "PRIVATE" not in everything


def test_removing_a_secret_that_is_not_there_says_so(office: Office) -> None:
    with pytest.raises(LookupError, match="Daemon has no secret"):
        office.entra.remove_secret(office.daemon, "nothing")


@pytest.mark.parametrize(
    ("roles", "words"),
    [
        ((), "No app role is named. Orders offers: Orders.Read, Orders.Write"),
        (("Orders.Delete",), "has no app role 'Orders.Delete'. It offers: Orders.Read, Orders.Write"),
    ],
)
def test_a_grant_names_roles_the_api_has(office: Office, roles: tuple[str, ...], words: str) -> None:
    with pytest.raises(RegistrationError, match=words):
        office.entra.grant(office.daemon, office.api, *roles)


def test_a_role_for_users_is_not_granted_to_an_app_nor_the_other_way_round(entra: Emulator) -> None:
    roles = [
        AppRole("1", "People", ("User",)),
        AppRole("2", "Robots", ("Application",)),
        AppRole("3", "Off", enabled=False),
    ]
    api = entra.register_app("Orders", app_roles=roles)
    with pytest.raises(RegistrationError, match="does not offer 'People' to Applications"):
        entra.grant(api, api, "People")
    with pytest.raises(RegistrationError, match="does not offer 'Robots' to Users"):
        entra.assign("alice", api, "Robots")
    with pytest.raises(RegistrationError, match="'Off' of Orders is disabled"):
        entra.grant(api, api, "Off")


def test_a_delegated_grant_names_scopes_the_api_has(office: Office) -> None:
    with pytest.raises(
        RegistrationError, match=r"Orders has no scope 'everything'. Orders offers: access_as_user"
    ):
        office.entra.grant_delegated(office.daemon, office.api, "everything")


def test_a_single_tenant_app_stays_in_its_tenant(office: Office) -> None:
    with pytest.raises(RegistrationError, match="single-tenant app"):
        office.entra.grant(office.daemon, office.api, "Orders.Read", tenant=FABRIKAM)


def test_a_multi_tenant_app_gets_a_service_principal_of_its_own_elsewhere(entra: Emulator) -> None:
    app = entra.register_app("Suite", accounts=MULTI)
    abroad = entra.consent(app, tenant=FABRIKAM)
    assert abroad.id != app.service_principal_id
    assert entra.consent(app, tenant="fabrikam.onmicrosoft.com") == abroad


def test_changing_a_registration_leaves_the_old_view_alone(office: Office) -> None:
    changed = office.entra.update_app(office.api, token_version=1)
    assert (office.api.token_version, changed.token_version) == (2, 1)
    assert office.entra.find_app(office.api) == changed


def test_people_are_found_by_any_name(entra: Emulator) -> None:
    alice = entra.find_user("alice")
    assert entra.find_user("alice@contoso.onmicrosoft.com") == entra.find_user(alice.id) == alice
    assert entra.find_user("carol").is_guest
    assert not entra.find_user("carol", FABRIKAM).is_guest


def test_new_people_guests_groups_and_tenants_can_be_added(entra: Emulator) -> None:
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
def test_what_is_not_there_is_said_to_be_missing(entra: Emulator, look: Any) -> None:
    with pytest.raises(LookupError, match="There is no"):
        look(entra)


def test_names_are_taken_once(office: Office) -> None:
    with pytest.raises(RegistrationError, match="already"):
        office.entra.add_tenant("Contoso")
    with pytest.raises(RegistrationError, match="already"):
        office.entra.add_user("alice")
    with pytest.raises(RegistrationError, match="already"):
        office.entra.register_app("Again", client_id=office.api.client_id, identifier_uris=())


def test_the_same_seed_gives_the_same_directory_and_another_another() -> None:
    def secret(seed: int | None) -> tuple[str, str]:
        entra = Emulator(seed=seed)
        app = entra.register_app("Orders")
        return app.client_id, entra.add_secret(app).value

    assert secret(1) == secret(1)
    assert len({secret(1), secret(2), secret(None), secret(None)}) == 4


def test_a_snapshot_brings_everything_back(office: Office) -> None:
    entra = office.entra
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


def test_reset_goes_back_to_the_beginning(office: Office) -> None:
    office.entra.reset()
    assert office.api.client_id not in office.entra.directory.apps


def test_a_restored_emulator_never_presents_an_old_key_as_new(entra: Emulator) -> None:
    before = entra.snapshot()
    first = entra.rotate_keys()
    entra.restore(before)
    assert entra.rotate_keys().kid != first.kid
