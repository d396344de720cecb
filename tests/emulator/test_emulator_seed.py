"""A seed describes a directory in words; an export is a seed; a state file keeps everything."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from entra_guard import Guard
from entra_guard.emulator import CONTOSO, GRAPH, Emulator
from entra_guard.emulator._directory.export import export_directory
from entra_guard.emulator._directory.rules import RegistrationError
from entra_guard.emulator._directory.seed import apply_seed
from entra_guard.emulator._directory.seed_format import as_yaml, parse_seed, seed_of
from entra_guard.emulator._store.state_file import (
    StateFileError,
    StateKeeper,
    decode_state,
    encode_state,
    read_state,
)

if TYPE_CHECKING:
    from pathlib import Path

    from entra_guard.testing import Entra

SEED = """
tenants:
  - name: Contoso
    users:
      - alice
      - {name: bob, display_name: Bob Brown, enabled: false, roles: {Orders API: [Orders.Read]}}
      - {name: carol, home: Fabrikam}
      - {name: north, agent: North, roles: {Orders API: [Orders.Read]}}
    groups:
      - {name: Engineers, members: [alice], roles: {Orders API: [Orders.Read]}}
    apps:
      - name: Orders API
        roles: [Orders.Read, {value: Orders.Write, members: [apps]}]
        scopes: [access_as_user]
      - name: Nightly report
        secrets: [only-for-this-emulator]
        federated: [{issuer: "https://token.example", subject: "job:nightly"}]
        permissions: {Orders API: [Orders.Read], graph: ["role:User.Read.All", "scope:User.Read"]}
        granted: true
      - name: Sales assistants
        blueprint: true
        agents: [South, {name: North, granted: {Orders API: [Orders.Read, access_as_user]}}]
    identities:
      - {name: vm, system_assigned: true, roles: {Orders API: [Orders.Read]}}
  - name: Fabrikam
"""


def seeded(text: str = SEED) -> Emulator:
    emulator = Emulator()
    apply_seed(emulator.directory_service, parse_seed(text.encode(), yaml=True))
    return emulator


def token_for(emulator: Emulator, secret: str = "only-for-this-emulator") -> str:
    apps = {app.name: app for app in emulator.directory.apps.values()}
    form = {
        "grant_type": "client_credentials",
        "client_id": apps["Nightly report"].client_id,
        "client_secret": secret,
        "scope": apps["Orders API"].default_scope,
    }
    with httpx.Client(transport=emulator.transport, base_url=emulator.url) as web:
        return str(web.post(f"/{emulator.tenant_id}/oauth2/v2.0/token", data=form).json()["access_token"])


def test_a_seed_is_enough_for_a_token_that_a_guard_accepts() -> None:
    emulator = seeded()
    api = next(app for app in emulator.directory.apps.values() if app.name == "Orders API")
    with httpx.Client(transport=emulator.transport) as web:
        guard = Guard(tenant=CONTOSO, audience=api.client_id, authority=emulator.url, http_client=web)
        assert guard.verify(token_for(emulator)).roles == ("Orders.Read",)
    bob, carol = emulator.find_user("bob"), emulator.find_user("carol")
    assert (bob.enabled, carol.is_guest) == (False, True)
    kinds = sorted(a.principal_type for a in emulator.directory.assignments.values())
    assert kinds == ["Group", *["ServicePrincipal"] * 4, "User", "User"]


MERGED = """
tenants:
  - name: Contoso
    apps:
      - name: Sales assistants
        blueprint: true
        agents: [&south {name: south}, &north {<<: *south, name: north}]
    users:
      - {<<: *north, agent: north}
"""


def test_a_mapping_in_yaml_may_override_a_key_that_it_merges() -> None:
    emulator = seeded(MERGED)
    agents = {agent.name: agent.id for agent in emulator.directory.agents.values()}
    assert set(agents) == {"south", "north"}
    assert emulator.find_user("north").agent_id == agents["north"]


def test_ids_that_a_seed_leaves_out_are_the_same_on_every_run() -> None:
    first, second = seeded(), seeded()
    assert [*first.directory.apps.items()][5:] != []
    for part in ("tenants", "users", "groups", "identities"):
        assert getattr(first.directory, part) == getattr(second.directory, part)
    assert list(first.directory.apps) == list(second.directory.apps)


def test_an_agent_of_a_seed_gets_the_tokens_of_its_permissions_and_of_its_account() -> None:
    emulator = seeded()
    apps = {app.name: app for app in emulator.directory.apps.values()}
    north = next(agent for agent in emulator.directory.agents.values() if agent.name == "North")
    blueprint = apps["Sales assistants"]
    assert (north.blueprint_id, blueprint.object_id) == (blueprint.client_id, blueprint.client_id)
    api = apps["Orders API"]
    with httpx.Client(transport=emulator.transport) as web:
        guard = Guard(tenant=CONTOSO, audience=api.client_id, authority=emulator.url, http_client=web)
        alone = guard.verify(emulator.issue_token(north, audience=api))
        account = guard.verify(
            emulator.issue_token(north, audience=api, user="north", scopes=["access_as_user"])
        )
    assert alone.roles == ("Orders.Read",)
    assert (alone.agent.blueprint, alone.agent.kind) == (blueprint.client_id, "autonomous")
    assert account.object_id == emulator.find_user("north").id
    assert emulator.find_user("north").agent_id == north.id


@pytest.mark.parametrize(
    ("apps", "users", "message"),
    [
        ([{"name": "B", "agents": ["A"]}], [], "needs 'blueprint: true'"),
        ([{"name": "B", "blueprint": True, "agents": ["A", "A"]}], [], "'A' is in the seed twice"),
        ([], [{"name": "a", "agent": "A"}], "No agent is called 'A'"),
        (
            [{"name": "B", "blueprint": True, "agents": ["A"]}],
            [{"name": "a", "agent": "A"}, {"name": "b", "agent": "A"}],
            "has two accounts",
        ),
        (
            [{"name": name, "blueprint": True, "agents": ["A"]} for name in "BC"],
            [{"name": "a", "agent": "A"}],
            "Two agents are called 'A'",
        ),
    ],
)
def test_agents_that_do_not_fit_are_refused_by_name(apps: Any, users: Any, message: str) -> None:
    seed = seed_of({"tenants": [{"name": "Contoso", "apps": apps, "users": users}]})
    with pytest.raises(RegistrationError, match=message):
        apply_seed(Emulator().directory_service, seed)


def test_an_export_is_a_seed_of_the_same_directory(entra: Entra) -> None:
    entra.add_samples()
    entra.new_certificate(entra.caller)
    entra.grant(entra.caller, GRAPH, "User.Read.All")
    copy = Emulator()
    for source in (entra, seeded()):
        exported = export_directory(source.directory)
        copies = (
            seed_of(json.loads(json.dumps(exported))),
            parse_seed(as_yaml(exported).encode(), yaml=True),
        )
        for seed in copies:
            copy = Emulator()
            apply_seed(copy.directory_service, seed)
            assert export_directory(copy.directory) == exported
    assert token_for(copy), "the secret works after an export, which has only its hash"


def test_an_export_with_two_apps_and_two_groups_of_one_name_can_be_imported(entra: Entra) -> None:
    first, second = (entra.register_app("Twin", app_roles=[role]) for role in ("A", "B"))
    client = entra.register_app("Client", permissions={second: ["B"]})
    entra.add_group("Engineers", "bob")
    apply_seed(entra.directory_service, seed_of(export_directory(entra.directory)))
    assert {first.client_id, second.client_id} <= set(entra.directory.apps)
    assert entra.find_app(client.client_id).required[0].api_id == second.client_id
    assert [g.name for g in entra.directory.groups.values()].count("Engineers") == 2


def test_an_export_without_the_accounts_of_deleted_agents_can_be_imported(entra: Entra) -> None:
    blueprint = entra.register_app("Assistants", is_blueprint=True)
    agent = entra.add_agent("North", blueprint)
    account = entra.add_user("north", agent=agent)
    group = entra.add_group("Everyone", "alice", account)
    entra.directory_service.registrations.remove_principal(agent.id)
    apply_seed(entra.directory_service, seed_of(export_directory(entra.directory)))
    assert account.id not in entra.directory.users
    assert entra.directory.groups[group.id].members == (entra.find_user("alice").id,)


def test_an_account_names_its_agent_by_an_id_in_any_case() -> None:
    agent = {"name": "North", "id": "ABCDEF00-2222-4333-8444-000000000001"}
    apps = [{"name": "Assistants", "blueprint": True, "agents": [agent]}]
    users = [{"name": "north", "agent": agent["id"]}]
    emulator = Emulator()
    apply_seed(
        emulator.directory_service, seed_of({"tenants": [{"name": "Contoso", "apps": apps, "users": users}]})
    )
    assert emulator.find_user("north").agent_id == agent["id"].lower()


def test_an_api_that_two_apps_of_a_seed_are_called_is_named_by_its_client_id() -> None:
    ids = [f"11111111-2222-4333-8444-00000000000{number}" for number in range(6)]
    names = ("client_id", "object_id", "service_principal_id")
    twins = [
        {"name": "Twin", "roles": ["A"], **dict(zip(names, ids[n : n + 3], strict=True))} for n in (0, 3)
    ]
    tenant = {"name": "Contoso", "apps": [*twins, {"name": "Client", "permissions": {"Twin": ["A"]}}]}
    with pytest.raises(RegistrationError, match="by its client id"):
        apply_seed(Emulator().directory_service, seed_of({"tenants": [tenant]}))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tenants: []", "no tenants"),
        ("tenants: [{nme: x}]", "unknown field `nme` - at `$.tenants[0]`"),
        ("tenants: [{name: x}, {name: x}]", "Two tenants"),
        ("tenants: [{name: x, users: [a, a]}]", "in the seed twice"),
        ("tenants: [{name: x, groups: [{name: g, members: [nobody]}]}]", "no user 'nobody'"),
        ("tenants: [{name: x, apps: [{name: y, permissions: {z: [a]}}]}]", "no API 'z'"),
        (
            "tenants: [{name: x, apps: [{name: y, permissions: {graph: [User.Read.All]}}]}]",
            "role:User.Read.All",
        ),
        ("tenants: [{name: x, apps: [{name: y, roles: [a b]}]}]", "'a b' is not valid"),
        ("tenants: [{name: x, apps: [{name: y, roles: [{value: a, id: b}]}]}]", "Expected a GUID"),
        ("tenants: [{name: x, apps: [{name: y, scopes: [{value: a, id: b}]}]}]", "Expected a GUID"),
        (r'tenants: [{name: x, id: "8f1c0f3e-0000-4000-8000-000000000001\n"}]', "Expected a GUID"),
        ('tenants: [{name: x, domain: "a.example\\n"}]', "Expected a domain name"),
        ("tenants: [{name: x, apps: [{name: y, secrets: [{}]}]}]", "needs a value"),
        ("tenants: [{name: x, apps: [{name: y, secrets: [{sha256: xyz}]}]}]", "hexadecimal"),
        ("a: [", "not valid YAML"),
        ("tenants:\n- name: x\n  apps: []\n  apps: []", "'apps' is there twice"),
        ('tenants: [{name: "x\\udc00"}]', "surrogate"),
        ("tenants: !!map [x]", "not valid YAML"),
        ("2020-01-01: x", "Expected `str` - at `key`"),
        ("tenants: [{name: ' '}]", "Expected a name - at `$.tenants[0].name`"),
        ("tenants: [{name: x, users: ['']}]", "Expected a name - at `$.tenants[0].users[0]`"),
        ("tenants: [{name: x, users: [a b]}]", "x, user 'a b': The user name"),
        ("tenants: [{name: x, id: y}]", "Expected a GUID - at `$.tenants[0].id`"),
        ("tenants: [{name: x, domain: a b}]", "Expected a domain name - at `$.tenants[0].domain`"),
        ("tenants: [{name: x, apps: [{name: y, client_id: z}]}]", "`$.tenants[0].apps[0].client_id`"),
        ("tenants: [{name: x, apps: [{name: y}, {name: y}]}]", "x, app 'y': It is in the seed twice"),
        ("tenants: [{name: x, groups: [{name: y}, {name: y}]}]", "x, group 'y': It is in the seed twice"),
        ("tenants: [{name: x, identities: [y, y]}]", "x, managed identity 'y': It is in the seed twice"),
        ("tenants: [{name: x, apps: [{name: y, token_version: 3}]}]", "x, app 'y': token_version=3"),
        ("tenants: [{name: x, apps: [{name: y, secrets: [{value: z, days: .inf}]}]}]", "secrets[0].days"),
        ("tenants: [{name: x, apps: [{name: y, secrets: [{value: z, expires: soon}]}]}]", "expires 'soon'"),
    ],
)
def test_a_seed_with_a_mistake_names_it_and_changes_nothing(entra: Entra, text: str, words: str) -> None:
    before = entra.directory
    with pytest.raises(RegistrationError) as caught:
        apply_seed(entra.directory_service, parse_seed(text.encode(), yaml=True))
    assert words in str(caught.value)
    assert entra.directory is before


def test_the_control_api_exports_and_imports(entra: Entra) -> None:
    exported = entra.http_client.get("/_emu/export").json()
    other = Emulator()
    with httpx.Client(transport=other.transport, base_url=other.url) as web:
        assert web.post("/_emu/import", json=exported).status_code == 200
        assert web.get("/_emu/export").json() == exported
        assert web.post("/_emu/import", json={"tenants": []}).status_code == 400


def test_a_state_keeps_everything_but_faults_that_end_by_themselves(tmp_path: Path) -> None:
    emulator = seeded()
    old = token_for(emulator)
    emulator.rotate_keys()
    emulator.advance(60)
    emulator.fail("token", "503", times=3)
    emulator.fail("keys", "500", seconds=60)
    emulator.revoke(emulator.find_user("alice"))
    path = tmp_path / "state.json"
    StateKeeper(path, None).save(emulator.store.state)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = Emulator()
    path.chmod(0o644)
    loaded = read_state(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert loaded
    again.store.load(loaded)
    assert again.directory == emulator.directory
    assert again.store.state.sessions == emulator.store.state.sessions
    assert again.store.state.clock == emulator.store.state.clock
    assert [key.kid for key in again.keys] == [key.kid for key in emulator.keys]
    assert [fault.how for fault in again.faults] == ["503"]
    again.clear_faults()
    assert token_for(again)
    api = next(app for app in again.directory.apps.values() if app.name == "Orders API")
    with httpx.Client(transport=again.transport) as web:
        guard = Guard(
            tenant=CONTOSO, audience=api.client_id, authority=again.url, http_client=web, clock=again.now
        )
        assert guard.verify(old).roles == ("Orders.Read",), "tokens of the last run stay valid"


def test_a_state_is_written_only_if_it_changed(tmp_path: Path) -> None:
    emulator, path = Emulator(), tmp_path / "state.json"
    keeper = StateKeeper(path, None)
    keeper.save(emulator.store.state)
    first = path.stat().st_mtime_ns
    keeper.save(emulator.store.state)
    assert path.stat().st_mtime_ns == first
    emulator.add_user("zoe")
    keeper.save(emulator.store.state)
    assert path.stat().st_mtime_ns != first
    assert [*tmp_path.iterdir()] == [path], "no temporary file is left"


@pytest.mark.parametrize(
    "change", [{"version": 2}, {"directory": {}}, {"keys": {}}, {"directory": {"users": 7}}]
)
def test_a_file_that_is_not_a_state_is_refused(change: dict[str, Any]) -> None:
    document = json.loads(encode_state(Emulator().store.state))
    with pytest.raises(StateFileError):
        decode_state(json.dumps({**document, **change}).encode())
    with pytest.raises(StateFileError):
        decode_state(b"not JSON")
