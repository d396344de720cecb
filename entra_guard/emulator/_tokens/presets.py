"""Tokens with something special about them, one word each: forged, stale, misdirected, or just unusual.

A preset may change the order before the claims are made, and the draft (header, claims, seal) before it is
sealed; or the finished token. Each says in its summary what a careful API does with it.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

from entra_guard.emulator._store.directory import CONSUMERS, CONTOSO, FABRIKAM, User
from entra_guard.emulator._store.signing_keys import KeyRing, SigningKey, packaged
from entra_guard.emulator._tokens.claims import TokenOrder, id_claims
from entra_guard.emulator._tokens.jws import (
    Seal,
    base64url,
    minified,
    sealed_by,
    sealed_with_public_key,
    unsealed,
)
from entra_guard.emulator._tokens.spec import sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from entra_guard.emulator._store.ids import Ids


@dataclass(slots=True)
class Draft:
    """A token about to be sealed."""

    order: TokenOrder
    header: dict[str, Any]
    claims: dict[str, Any]
    key: SigningKey
    keys: KeyRing
    ids: Ids
    seal: Seal | None = None
    finish: Callable[[str], str] = field(default=lambda token: token)

    def token(self) -> str:
        return self.finish(sealed(self.header, self.claims, self.seal or sealed_by(self.key)))


@dataclass(frozen=True, slots=True)
class Preset:
    """One preset.

    Attributes:
        summary: What is special about the token.
        ordering: Changes what is asked for, before any claim is made.
        drafting: Changes the draft.
        needs_user: Whether it makes sense only as a user's token.
        version: The version it has, whatever the API registered.
    """

    summary: str
    ordering: Callable[[TokenOrder, Ids], TokenOrder] = lambda order, _ids: order
    drafting: Callable[[Draft], None] = lambda _draft: None
    needs_user: bool = False
    version: Literal[1, 2] | None = None


def _other_tenant(order: TokenOrder, _ids: Ids) -> TokenOrder:
    return replace(order, tenant_id=_another(order.tenant_id))


def _another(tenant_id: str) -> str:
    return CONTOSO if tenant_id == FABRIKAM else FABRIKAM


def _msa(order: TokenOrder, ids: Ids) -> TokenOrder:
    mail = "dave@outlook.example"
    user = User(ids.guid(), CONSUMERS, mail, "Dave Davis", "Dave", "Davis", mail, home_tenant_id=CONSUMERS)
    return replace(
        order, tenant_id=CONSUMERS, user=user, version=2, audience=order.resource_id or order.audience
    )


def _guest(order: TokenOrder, _ids: Ids) -> TokenOrder:
    if order.user is None:
        return order
    home = _another(order.tenant_id)
    return replace(order, user=replace(order.user, home_tenant_id=home), optional=(*order.optional, "acct"))


def _overage(order: TokenOrder, ids: Ids) -> TokenOrder:
    return replace(order, groups=tuple(ids.guid() for _ in range(201)))


def _cae(order: TokenOrder, _ids: Ids) -> TokenOrder:
    return replace(order, capabilities=("cp1",), lifetime=24 * 3600)


def _shifted(*, nbf: int, exp: int) -> Callable[[Draft], None]:
    """Move the token's life: seconds relative to now."""

    def shift(draft: Draft) -> None:
        now = draft.order.now
        draft.claims.update(iat=now + nbf, nbf=now + nbf, exp=now + exp)

    return shift


def _claims(**changes: Any) -> Callable[[Draft], None]:
    return lambda draft: draft.claims.update(changes)


def _without(*names: str) -> Callable[[Draft], None]:
    def remove(draft: Draft) -> None:
        for name in names:
            draft.claims.pop(name, None)

    return remove


def _foreign_issuer(draft: Draft) -> None:
    draft.claims["iss"] = f"https://login.attacker.example/{draft.order.tenant_id}/v2.0"


def _mismatched_tid(draft: Draft) -> None:
    other = replace(draft.order, tenant_id=_another(draft.order.tenant_id))
    draft.claims["iss"] = other.issuer


def _alg_none(draft: Draft) -> None:
    draft.header = {"typ": "JWT", "alg": "none"}
    draft.seal = unsealed


def _hs256(draft: Draft) -> None:
    draft.header["alg"] = "HS256"
    draft.seal = sealed_with_public_key(draft.key)


def _signed_with(choose: Callable[[Draft], SigningKey], *, keep_kid: bool = False) -> Callable[[Draft], None]:
    def sign(draft: Draft) -> None:
        draft.key = choose(draft)
        if not keep_kid:
            draft.header.update({name: draft.key.kid for name in ("kid", "x5t") if name in draft.header})

    return sign


def _tampered(draft: Draft) -> None:
    def tamper(token: str) -> str:
        header, _, signature = token.split(".")
        payload = minified({**draft.claims, "roles": ["Everything.ReadWrite.All"]})
        return f"{header}.{base64url(payload)}.{signature}"

    draft.finish = tamper


def _id_token(draft: Draft) -> None:
    draft.claims = {
        **id_claims(draft.order, draft.ids),
        "aud": draft.order.resource_id or draft.order.audience,
    }


def _for_graph(draft: Draft) -> None:
    draft.claims["aud"] = "https://graph.microsoft.com"
    draft.header = {"typ": "JWT", "nonce": draft.ids.text(32), **draft.header}


def _second_tid(draft: Draft) -> None:
    draft.claims["TID"] = _another(draft.order.tenant_id)


def _bound(method: str) -> Callable[[Draft], None]:
    return lambda draft: draft.claims.update(cnf={method: draft.ids.text(32)})


def _agent(*, act: str, sub: str, idtyp: str) -> Callable[[Draft], None]:
    def mark(draft: Draft) -> None:
        draft.claims.update(
            idtyp=idtyp,
            xms_act_fct=act,
            xms_sub_fct=sub,
            xms_tnt_fct="3 12",
            xms_idrel="7" if idtyp == "app" else "1",
            xms_par_app_azp=draft.ids.guid(),
        )

    return mark


def _huge(draft: Draft) -> None:
    draft.claims["xms_filler"] = base64.b64encode(draft.ids.octets(15 * 1024)).decode()


def _gov(draft: Draft) -> SigningKey:
    return draft.keys.government


PRESETS: Final[Mapping[str, Preset]] = MappingProxyType({
    "expired": Preset("Expired an hour ago.", drafting=_shifted(nbf=-7500, exp=-3600)),
    "not-yet-valid": Preset("Valid in an hour.", drafting=_shifted(nbf=3600, exp=7200)),
    "wrong-aud": Preset("For another API.", drafting=_claims(aud="6fd7c1a0-0000-4000-8000-0000000000aa")),
    "wrong-iss": Preset("From an issuer nobody knows.", drafting=_foreign_issuer),
    "iss-tid-mismatch": Preset("Issuer of one tenant, tid of another.", drafting=_mismatched_tid),
    "other-tenant": Preset("Right in all, but another tenant's.", _other_tenant),
    "v1": Preset("A v1.0 token, whatever the API registered.", version=1),
    "v2": Preset("A v2.0 token, whatever the API registered.", version=2),
    "alg-none": Preset("Unsigned.", drafting=_alg_none),
    "hs256-with-public-key": Preset("HMAC with the public key as secret.", drafting=_hs256),
    "unknown-kid": Preset("Signed by a key nobody published.",
                          drafting=_signed_with(lambda _: packaged("forger"))),
    "forged": Preset("A published kid, signed by another key.",
                     drafting=_signed_with(lambda _: packaged("forger"), keep_kid=True)),
    "kid-of-consumer-key": Preset("Signed by the personal accounts' key, issuer of the tenant.",
                                  drafting=_signed_with(lambda d: d.keys.consumers)),
    "gov-cloud-key": Preset("Signed by a key of another cloud.", drafting=_signed_with(_gov)),
    "tampered": Preset("Roles added after signing.", drafting=_tampered),
    "no-roles": Preset("Neither roles nor scopes: any app gets this.", drafting=_without("roles", "scp")),
    "empty-scp": Preset("A user's token with an empty scope.", drafting=_claims(scp=""), needs_user=True),
    "id-token-as-access-token": Preset("An ID token.", drafting=_id_token, needs_user=True),
    "graph-token": Preset("For Microsoft Graph: only Graph can verify it.", version=1, drafting=_for_graph),
    "group-overage": Preset("Too many groups to list.", _overage, needs_user=True),
    "guest": Preset("A guest from another tenant.", _guest, needs_user=True),
    "msa-user": Preset("A personal account.", _msa, needs_user=True),
    "agent-autonomous": Preset("An AI agent by itself.", drafting=_agent(act="11", sub="11", idtyp="app")),
    "agent-for-user": Preset("An AI agent for a user.", drafting=_agent(act="11", sub="3", idtyp="user"),
                             needs_user=True),
    "agent-user": Preset("An AI agent's own user account.", drafting=_agent(act="11", sub="13", idtyp="user"),
                         needs_user=True),
    "cae": Preset("Long-lived, for a client that handles claims challenges.", _cae),
    "duplicate-tid-case": Preset("`tid` and `TID`, two tenants.", drafting=_second_tid),
    "huge": Preset("Over 16 KiB.", drafting=_huge),
    "mtls-bound": Preset("Bound to a client certificate.", drafting=_bound("x5t#S256")),
    "dpop-bound": Preset("Bound to a DPoP key.", drafting=_bound("jkt")),
})  # fmt: skip
"""Every preset by its word."""


def preset(word: str) -> Preset:
    """The preset of that word.

    Raises:
        LookupError: There is none; the message lists all.
    """
    if word not in PRESETS:
        raise LookupError(f"There is no preset {word!r}. There are: {', '.join(PRESETS)}.")
    return PRESETS[word]
