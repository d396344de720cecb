"""What a token's claims say about an AI agent (Microsoft Entra Agent ID). Pure.

Source: Microsoft, "Token claims reference for agent identities", "Validate agent tokens in a downstream API".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import msgspec

from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

AgentKind = Literal["autonomous", "for_user", "agent_user"]
# Whether AI agents are accepted: True, False, or 'only' them.
Agents = bool | Literal["only"]

# Any one of the first three makes a token an agent's. The last one says what its subject is to the tenant.
AGENT_CLAIMS: Final = ("xms_act_fct", "xms_sub_fct", "xms_par_app_azp", "xms_idrel")
_AGENT_IDENTITY: Final = 11
_AGENT_USER: Final = 13
# In `xms_idrel`: service principal, application without one, federated managed identity.
_APPLICATIONS: Final = frozenset({7, 13, 33})


class Agent(msgspec.Struct, frozen=True):
    """An AI agent that calls.

    Attributes:
        id: The client id of the agent.
        blueprint: The client id of the blueprint that it was made from. For logs; do not authorize by it.
        kind: 'autonomous' (in its own name), 'for_user' (with a signed-in user's permissions) or 'agent_user'
            (with a user account of the agent itself).
        on_behalf_of: The object id of the user for whom it acts; '' unless the kind is 'for_user'.
    """

    id: str
    blueprint: str
    kind: AgentKind
    on_behalf_of: str


def check_agents(value: object, known: tuple[object, ...] = (None, True, False, "only")) -> None:
    """Check a setting `agents`.

    Raises:
        ConfigurationError: It is none of the known values; 1 and 0 are not, either.
    """
    if not any(value is each or (each == "only" and value == each) for each in known):
        raise ConfigurationError(f"agents must be True, False or 'only', got {value!r}")


def agent_of(claims: Mapping[str, Any], *, is_app: bool | None) -> Agent | None:
    """Return the agent that a token was issued to, None if it is not an agent's.

    Any one of the marks makes it an agent's token, so that a missing or odd mark does not hide an agent. A
    person acts only if no claim says that the subject is an agent or an application.
    Unknown numbers are ignored, and so is what is not a number.
    """
    actor, subject = _facets(claims.get("xms_act_fct")), _facets(claims.get("xms_sub_fct"))
    parent = claims.get("xms_par_app_azp")
    blueprint = parent if isinstance(parent, str) else ""
    if not parent and _AGENT_IDENTITY not in actor and not subject & {_AGENT_IDENTITY, _AGENT_USER}:
        return None
    kind: AgentKind = "for_user"
    if _AGENT_USER in subject:
        kind = "agent_user"
    elif is_app or _AGENT_IDENTITY in subject or _facets(claims.get("xms_idrel")) & _APPLICATIONS:
        kind = "autonomous"
    user = str(claims.get("oid") or "") if kind == "for_user" else ""
    return Agent(str(claims.get("azp") or claims.get("appid") or ""), blueprint, kind, user)


def _facets(value: object) -> frozenset[int]:
    """Return the integers of a claim such as '3 11'.

    Entra issues a string of integers. A list or a number counts, too: it does not hide an agent.
    """
    listed = cast("list[object]", value) if isinstance(value, list) else [value]
    parts = _SEPARATORS.split(" ".join(str(each) for each in listed if isinstance(each, str | int)))
    return frozenset(
        int(part) for part in parts if part.isascii() and part.isdigit() and len(part) < _MOST_DIGITS
    )


_SEPARATORS: Final = re.compile(r"[\s,;]+")
_MOST_DIGITS: Final = 10
