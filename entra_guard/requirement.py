"""Requirements of a route: `Requirement`, and the decorator `requires` for sync and async handlers.

A caller must meet everything that one requirement names. Several requirements are alternatives:
`requires(Requirement(scopes=...), Requirement(roles=...))`.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Final, TypedDict, TypeVar, Unpack, cast

from entra_guard._common.agent import Agents, check_agents
from entra_guard._common.arguments import check_flags, known_arguments
from entra_guard._common.clock import wall_clock
from entra_guard._common.decorated import decorated, unwrapped
from entra_guard._common.name_hints import name_hint
from entra_guard._common.permission_names import permission_names
from entra_guard._common.step_up import (
    HOW_TO_GET_CHALLENGES,
    authorization_uri,
    check_issuer_supports,
    check_step_up,
    claims_request,
    contexts_in,
    missing_sign_in,
    takes_claims_challenge,
)
from entra_guard.errors import ConfigurationError, InsufficientAuthenticationError, refusal
from entra_guard.principal import as_http_error, current_principal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from entra_guard.errors import AccessError
    from entra_guard.principal import Principal

Handler = TypeVar("Handler", bound="Callable[..., Any]")


class RequirementSettings(TypedDict, total=False):
    """The keyword arguments of `Requirement`, for functions that pass them on."""

    roles: Iterable[str] | str
    scopes: Iterable[str] | str
    app_only: bool
    users_only: bool
    guests: bool
    agents: Agents | None
    auth_context: str
    max_age: float | None


Alternatives = tuple["Requirement", ...]


class EmptyRequirementError(ConfigurationError):
    """A requirement that every caller meets."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a caller must have; a caller needs all of it.

    Args:
        roles: App roles of the application or the user.
        scopes: Delegated permissions: in Entra only a user's token has them.
        app_only: Refuse tokens of users.
        users_only: Refuse app-only tokens.
        guests: False refuses guest users of the tenant, and users whose token does not say (`is_guest`).
        agents: False refuses AI agents (Entra Agent ID), 'only' refuses all others. By default agents are
            callers like others, except that `users_only` refuses an agent's own user account, as no person
            acts there. True accepts those too.
        auth_context: An authentication context such as 'c1' that the user's sign-in must fulfil. With issuers
            other than Entra a value of 'acr' (RFC 9470).
        max_age: Seconds that may have passed since the user signed in (RFC 9470). Not with Entra.

    Raises:
        ConfigurationError: Nothing is required, or no caller could meet it.

    Example:
        >>> Requirement(roles=["Orders.Read"]).roles
        ('Orders.Read',)
    """

    roles: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    app_only: bool = False
    users_only: bool = False
    guests: bool = True
    agents: Agents | None = None
    auth_context: str = ""
    max_age: float | None = None
    challenge_scope: str = field(init=False, repr=False)

    @known_arguments()
    def __init__(
        self,
        *,
        roles: Iterable[str] | str = (),
        scopes: Iterable[str] | str = (),
        app_only: bool = False,
        users_only: bool = False,
        guests: bool = True,
        agents: Agents | None = None,
        auth_context: str = "",
        max_age: float | None = None,
    ) -> None:
        check_flags(app_only=app_only, users_only=users_only, guests=guests)
        check_agents(agents)
        check_step_up(auth_context, max_age)
        set_ = object.__setattr__
        set_(self, "roles", permission_names("roles", roles))
        set_(self, "scopes", permission_names("scopes", scopes))
        set_(self, "app_only", app_only)
        set_(self, "users_only", users_only)
        set_(self, "guests", guests)
        set_(self, "agents", agents)
        set_(self, "auth_context", auth_context)
        set_(self, "max_age", max_age)
        set_(self, "challenge_scope", " ".join(self.scopes or self.roles))
        by_sign_in = bool(auth_context) or max_age is not None
        is_about_kind = app_only or users_only or not guests or restricts(agents)
        if not (self.roles or self.scopes or is_about_kind or by_sign_in):
            raise EmptyRequirementError(
                "An empty requirement accepts every caller. Name roles or scopes, or remove the requirement "
                "if every caller with a valid token is allowed"
            )
        if app_only and (users_only or self.scopes or by_sign_in):
            raise ConfigurationError(
                "No caller can meet app_only together with users_only, scopes, auth_context or max_age. "
                "Remove one of them"
            )

    def check(self, principal: Principal) -> None:
        """Return if the caller meets the requirement, else raise.

        Raises:
            InsufficientPermissionError: app_token_required, user_token_required, caller_kind_unknown,
                guest_not_allowed, agent_not_allowed, agent_required, missing_scope, missing_role.
            InsufficientAuthenticationError: auth_context_required, sign_in_too_old.
            ConfigurationError: The token's issuer does not support what is required.
        """
        check_any((self,), principal)

    def refusal_of(self, principal: Principal) -> AccessError | None:
        """Return why the caller does not meet the requirement, or None."""
        by_sign_in = self.auth_context or self.max_age is not None
        if by_sign_in:
            check_issuer_supports(self.auth_context, self.max_age, is_entra=principal.verified.is_entra)
        reason = self._kind_reason(principal) or self._agent_reason(principal)
        if reason:
            return self._refusal(reason, principal, [], [])
        for code, needed, has in (
            ("missing_scope", self.scopes, principal.scopes),
            ("missing_role", self.roles, principal.roles),
        ):
            for name in needed:
                if name not in has:
                    return self._refusal(code, principal, needed, has, missing=name)
        return self._sign_in_refusal(principal) if by_sign_in else None

    def _sign_in_refusal(self, principal: Principal) -> AccessError | None:
        """Return why the user's sign-in does not suffice, and what to request instead; or None."""
        is_entra, claims = principal.verified.is_entra, principal.claims
        context, max_age = self.auth_context, self.max_age
        if principal.is_app:
            return self._refusal("user_token_required", principal, [], [])
        reason = missing_sign_in(claims, context, max_age, wall_clock(), is_entra=is_entra)
        if not reason:
            return None
        facts = {"needs": context or f"max_age={max_age:g}", "has": contexts_in(claims, is_entra=is_entra)}
        facts["app_id"] = principal.app_id
        challenge: dict[str, Any] = {"acr_values": context, "max_age": max_age}
        if is_entra and takes_claims_challenge(claims):
            challenge = {"claims": claims_request("acrs", context)}
            challenge["authorization_uri"] = authorization_uri(claims)
        elif is_entra:
            challenge, facts["advice"] = {}, HOW_TO_GET_CHALLENGES
        return InsufficientAuthenticationError(reason, facts, **challenge).for_client(principal.app_id)

    def _kind_reason(self, principal: Principal) -> str:
        """Return why an application, a user or a guest is refused; '' if the caller is not."""
        if (self.app_only or self.users_only) and principal.is_app is None:
            return "caller_kind_unknown"
        if self.app_only and not principal.is_app:
            return "app_token_required"
        if self.users_only and principal.is_app:
            return "user_token_required"
        return "guest_not_allowed" if not self.guests and principal.is_guest is not False else ""

    def _agent_reason(self, principal: Principal) -> str:
        """Return why an agent is refused, or a caller that is not one; '' if the caller is not."""
        if self.agents is True or (self.agents is None and not self.users_only):
            return ""
        agent = principal.agent
        if agent is None:
            return "agent_required" if self.agents == "only" else ""
        is_refused = self.agents is False or (self.agents is None and agent.kind != "for_user")
        return "agent_not_allowed" if is_refused else ""

    def _refusal(
        self, code: str, principal: Principal, needs: Iterable[str], has: Iterable[str], missing: str = ""
    ) -> AccessError:
        facts = {
            "needs": list(needs),
            "has": list(has),
            "app_id": principal.app_id,
            "is_app": principal.is_app,
            "is_guest": principal.is_guest,
        }
        if missing:
            facts["missing"] = missing
            facts["hint"] = _hint(code, missing, principal)
        return refusal(code, facts, scope=self.challenge_scope).for_client(principal.app_id)


def _hint(code: str, missing: str, principal: Principal) -> str:
    kind = code.removeprefix("missing_")
    roles, scopes = principal.roles, principal.scopes
    has, others = (roles, scopes) if kind == "role" else (scopes, roles)
    return name_hint(kind, missing, has, others, is_app=principal.is_app)


def restricts(agents: Agents | None) -> bool:
    """Return whether a setting of `agents` refuses anyone by itself."""
    return agents is False or agents == "only"


def check_any(requirements: Iterable[Requirement], principal: Principal) -> None:
    """Return if the caller meets one of the requirements, else raise the refusal of the last one."""
    refused: AccessError | None = None
    for requirement in requirements:
        refused = requirement.refusal_of(principal)
        if refused is None:
            return
    if refused is not None:
        raise as_http_error(refused)


def requirement_or_none(**settings: Unpack[RequirementSettings]) -> Requirement | None:
    """Return what the settings require, or None if they are valid and every caller meets them.

    Raises:
        ConfigurationError: A setting is not valid, or no caller could meet it.
    """
    try:
        return Requirement(**settings)
    except EmptyRequirementError:
        return None


@known_arguments()
def requires(
    *alternatives: Requirement,
    roles: Iterable[str] | str = (),
    scopes: Iterable[str] | str = (),
    app_only: bool = False,
    users_only: bool = False,
    guests: bool = True,
    agents: Agents | None = None,
    auth_context: str = "",
    max_age: float | None = None,
) -> Callable[[Handler], Handler]:
    """Require roles, scopes, or a kind of caller of a route. A caller needs all that is named.

    It goes below the route's own decorator. Above it, the framework has registered the function inside,
    and nothing is checked: the adapters find such a route and respond with 500 (`ConfigurationError`).

    On a public path, or without a guard, a decorated route raises `NoPrincipalError` (500): the route is
    both public and restricted.

    Args:
        alternatives: Requirements of which a caller must meet one, instead of the other arguments.
        roles: App roles of the application or the user.
        scopes: Delegated permissions; in Entra only a user's token has them.
        app_only: Refuse tokens of users.
        users_only: Refuse app-only tokens.
        guests: False refuses guest users of the tenant, and users whose token does not say.
        agents: False refuses AI agents, 'only' refuses all others; see `Requirement`.
        auth_context: An authentication context such as 'c1' that the user's sign-in must fulfil. A caller
            whose sign-in does not gets 401 with the claims that MSAL takes, if its client can (step-up).
        max_age: Seconds that may have passed since the user signed in (RFC 9470). Not with Entra.

    Raises:
        ConfigurationError: Nothing is required, or no caller could meet it.

    Example:
        >>> @app.get("/orders")
        ... @requires(roles=["Orders.Read"])
        ... async def orders(): ...
        >>> @requires(Requirement(scopes=["Orders.Read"]), Requirement(roles=["Orders.Read.All"]))
        ... def all_orders(): ...
    """
    required = alternatives_of(
        alternatives,
        roles=roles,
        scopes=scopes,
        app_only=app_only,
        users_only=users_only,
        guests=guests,
        agents=agents,
        auth_context=auth_context,
        max_age=max_age,
    )

    def decorate(handler: Handler) -> Handler:
        # Django's `method_decorator` passes a partial for each request.
        if not inspect.isroutine(handler) and not isinstance(handler, partial):
            raise ConfigurationError(
                f"@requires decorates a function or method, not {type(handler).__name__}. "
                "Put it directly above the function, below the route's own decorator"
            )
        function = cast("Callable[..., Any]", handler)
        is_async = inspect.iscoroutinefunction(function)
        guarded = _async(function, required) if is_async else _sync(function, required)
        mark_required(guarded, required)
        decorated.add(function, guarded)
        return cast("Handler", guarded)

    return decorate


def alternatives_of(
    alternatives: tuple[Requirement, ...], **settings: Unpack[RequirementSettings]
) -> tuple[Requirement, ...]:
    """Return the requirements of a route: the given alternatives, or one with the other arguments.

    Raises:
        ConfigurationError: Both are given, or neither.
    """
    if not alternatives:
        return (Requirement(**settings),)
    if not all(isinstance(alternative, Requirement) for alternative in alternatives):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(
            "requires takes names by keyword: @requires(roles=['Orders.Read']) or @requires(scopes=[...])"
        )
    if requirement_or_none(**settings) is not None or settings.get("agents") is not None:
        raise ConfigurationError(
            "give alternatives, or roles, scopes, app_only, users_only, guests, agents, auth_context and "
            "max_age, not both"
        )
    return alternatives


_REQUIRED: Final = "__entra_guard_required__"


def mark_required(function: Callable[..., Any], required: tuple[Requirement, ...]) -> None:
    """Let `requirements_of` find what a function requires: one of these alternatives."""
    vars(function)[_REQUIRED] = required


def requirements_of(function: object) -> list[Alternatives]:
    """Return what `requires` on a function requires: all items, of each item one alternative."""
    found = [getattr(each, "__dict__", {}).get(_REQUIRED) for each in unwrapped(function)]
    return list(dict.fromkeys(filter(None, found)))


def _async(handler: Callable[..., Any], required: tuple[Requirement, ...]) -> Callable[..., Any]:
    @wraps(handler)
    async def guarded(*args: Any, **kwargs: Any) -> Any:
        check_any(required, current_principal())
        return await handler(*args, **kwargs)

    return guarded


def _sync(handler: Callable[..., Any], required: tuple[Requirement, ...]) -> Callable[..., Any]:
    @wraps(handler)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        check_any(required, current_principal())
        return handler(*args, **kwargs)

    return guarded
