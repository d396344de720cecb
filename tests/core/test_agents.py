"""AI agents (Entra Agent ID): what a token says about them, and where they are refused."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from entra_guard import AccessError, Agent, ConfigurationError, Guard, Requirement, requires
from entra_guard._common.agent import agent_of
from entra_guard.asgi import GuardMiddleware

BLUEPRINT = {"xms_par_app_azp": "blueprint", "azp": "agent", "oid": "user"}
AUTONOMOUS = {**BLUEPRINT, "xms_act_fct": "9 11 3", "xms_sub_fct": "11 3"}
FOR_USER = {**BLUEPRINT, "xms_act_fct": "11", "xms_sub_fct": "2"}
AGENT_USER = {**BLUEPRINT, "xms_act_fct": "11", "xms_sub_fct": "13"}


@pytest.mark.parametrize(
    ("claims", "is_app", "kind"),
    [
        ({}, True, None),
        ({"xms_act_fct": "1 3", "xms_sub_fct": "5"}, False, None),
        ({"xms_act_fct": "1 1", "xms_sub_fct": ["1", 3], "xms_par_app_azp": ""}, False, None),
        ({"xms_act_fct": "111 \u0661\u0661 0x11 1e1", "xms_sub_fct": {"11": 11}}, False, None),
        ({"xms_act_fct": True, "xms_sub_fct": None, "xms_par_app_azp": None}, False, None),
        ({"xms_act_fct": "11 x"}, False, "for_user"),
        ({"xms_act_fct": "3,11"}, False, "for_user"),
        ({"xms_act_fct": 11}, False, "for_user"),
        ({"xms_sub_fct": ["9", 13]}, False, "agent_user"),
        ({"xms_par_app_azp": ["blueprint"]}, True, "autonomous"),
        (AUTONOMOUS, True, "autonomous"),
        (FOR_USER, False, "for_user"),
        (AGENT_USER, False, "agent_user"),
        ({"xms_sub_fct": "13"}, False, "agent_user"),
        ({"xms_act_fct": "11"}, False, "for_user"),
        ({"xms_par_app_azp": "blueprint"}, True, "autonomous"),
        ({"xms_par_app_azp": "blueprint", "xms_act_fct": "junk"}, False, "for_user"),
        ({"xms_idrel": "7"}, True, None),
        ({**FOR_USER, "xms_idrel": "1 30"}, False, "for_user"),
        ({**FOR_USER, "xms_idrel": "5"}, False, "for_user"),
        ({**FOR_USER, "xms_idrel": "7 10"}, False, "autonomous"),
        ({**FOR_USER, "xms_idrel": "33"}, None, "autonomous"),
        ({**AGENT_USER, "xms_idrel": "1"}, False, "agent_user"),
    ],
)
def test_any_mark_makes_a_token_an_agents(claims, is_app, kind):
    agent = agent_of(claims, is_app=is_app)
    assert (agent and agent.kind) == kind


def test_an_agent_names_itself_its_blueprint_and_its_user():
    assert agent_of(FOR_USER, is_app=False) == Agent("agent", "blueprint", "for_user", "user")
    assert agent_of(AUTONOMOUS, is_app=True).on_behalf_of == ""


AGENTS = {
    "person": {"user": "alice", "scopes": ["Orders.Read"]},
    "app": {"roles": ["Orders.Read"]},
    "autonomous": {"roles": ["Orders.Read"], "preset": "agent-autonomous"},
    "for_user": {"user": "alice", "scopes": ["Orders.Read"], "preset": "agent-for-user"},
    "agent_user": {"user": "alice", "scopes": ["Orders.Read"], "preset": "agent-user"},
}
EVERY_AGENT = {"autonomous", "for_user", "agent_user"}


@pytest.mark.parametrize("kind", AGENTS)
def test_the_emulators_agents_are_agents(entra, kind):
    agent = entra.guard().verify(entra.token(**AGENTS[kind])).agent
    assert (agent.kind if agent else None) == (kind if kind in EVERY_AGENT else None)


@pytest.mark.parametrize(
    ("setting", "refused", "reason"),
    [
        (True, set(), ""),
        (False, EVERY_AGENT, "agent_not_allowed"),
        ("only", {"person", "app"}, "agent_required"),
    ],
)
def test_a_guard_decides_about_agents_for_all_routes(entra, setting, refused, reason):
    guard = entra.guard(agents=setting)
    for kind, who in AGENTS.items():
        token = entra.token(**who)
        assert guard.explain(token).reason == (reason if kind in refused else ""), kind
        if kind in refused:
            with pytest.raises(AccessError) as caught:
                guard.verify(token)
            assert caught.value.reason == reason
            found = f"an agent: {kind}" if kind in EVERY_AGENT else "not an agent"
            assert caught.value.facts["found"] == found


@pytest.mark.parametrize("setting", [None, "no", "Only", 0, 1])
def test_a_guard_refuses_other_settings_of_agents(entra, setting):
    with pytest.raises(ConfigurationError, match="agents must be"):
        entra.guard(agents=setting)


def test_a_guard_reads_agents_from_the_environment():
    environ = {"ENTRA_GUARD_TENANT": "contoso.com", "ENTRA_GUARD_AUDIENCE": "api://orders"}
    for text, value in (("true", True), ("False", False), ("only", "only")):
        assert Guard.from_env({**environ, "ENTRA_GUARD_AGENTS": text}).policy.agents == value
    with pytest.raises(ConfigurationError, match="ENTRA_GUARD_AGENTS must be"):
        Guard.from_env({**environ, "ENTRA_GUARD_AGENTS": ""})


@pytest.mark.parametrize(
    ("settings", "refused", "reason"),
    [
        ({"agents": False}, EVERY_AGENT, "agent_not_allowed"),
        ({"agents": "only"}, {"person", "app"}, "agent_required"),
        ({"users_only": True}, {"agent_user"}, "agent_not_allowed"),
        ({"users_only": True, "agents": True}, set(), ""),
        ({"users_only": True, "agents": False}, {"for_user", "agent_user"}, "agent_not_allowed"),
        ({"app_only": True}, set(), ""),
    ],
)
def test_a_requirement_decides_about_agents(entra, settings, refused, reason):
    requirement = Requirement(**settings)
    for kind, who in AGENTS.items():
        error = requirement.refusal_of(entra.guard().verify(entra.token(**who)))
        found = error.reason if error else ""
        kinds = {"user_token_required", "app_token_required"}
        assert found == reason if kind in refused else found in {"", *kinds}, kind


def test_agents_are_refused_for_a_route_and_for_an_application(entra):
    @requires(agents=False)
    def people(_request):
        return PlainTextResponse("")

    routes = [Route("/people", people), Route("/all", lambda _request: PlainTextResponse(""))]
    agent = {"Authorization": f"Bearer {entra.token(**AGENTS['autonomous'])}"}

    def status(path, **settings):
        app = GuardMiddleware(Starlette(routes=routes), guard=entra.guard(), **settings)
        return TestClient(app).get(path, headers=agent).status_code

    assert (status("/people"), status("/all"), status("/all", agents=False)) == (403, 200, 403)


def test_an_agent_whose_subject_is_no_person_does_not_pass_for_one(entra):
    odd = {"idtyp": "user", "xms_act_fct": "11", "xms_sub_fct": "3", "xms_idrel": "7"}
    principal = entra.guard().verify(entra.token(user="alice", scopes=["Orders.Read"], claims=odd))
    assert principal.agent.on_behalf_of == ""
    assert Requirement(users_only=True).refusal_of(principal).reason == "agent_not_allowed"
    assert Requirement(users_only=True, agents=True).refusal_of(principal) is None


@pytest.mark.parametrize("agents", ["yes", 1, "no"])
def test_a_setting_that_means_nothing_is_refused(agents):
    with pytest.raises(ConfigurationError, match="agents must be"):
        Requirement(agents=agents)


@pytest.mark.parametrize("agents", [None, True])
def test_a_requirement_that_only_accepts_agents_too_is_empty(agents):
    with pytest.raises(ConfigurationError, match="empty"):
        Requirement(agents=agents)


def test_an_agent_without_permission_is_refused_by_the_guard(entra):
    with pytest.raises(AccessError, match="no_permissions"):
        entra.guard().verify(entra.token(roles=[], preset="agent-autonomous"))
