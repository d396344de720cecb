"""Tokens that are forged, expired, misdirected or unusual, by name.

A preset can change the spec before the claims are made, the draft (header, claims, signer) before it is
signed, and the finished token. Its summary describes what is special about the token.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

from entra_guard.emulator._store.encoding import base64url
from entra_guard.emulator._store.entries import CONSUMERS, CONTOSO, FABRIKAM, User
from entra_guard.emulator._store.signing_keys import SigningKey, SigningKeySet, predefined_key
from entra_guard.emulator._tokens.claims import TokenSpec, id_claims
from entra_guard.emulator._tokens.jws import (
    Signer,
    compact_json,
    hmac_with_public_key,
    no_signature,
    signer_of,
)
from entra_guard.emulator._tokens.spec import sign_token

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard.emulator._store.ids import Ids


@dataclass(slots=True)
class TokenDraft:
    """A token before it is signed."""

    spec: TokenSpec
    header: dict[str, Any]
    claims: dict[str, Any]
    key: SigningKey
    keys: SigningKeySet
    ids: Ids
    signer: Signer | None = None
    finish: Callable[[str], str] = field(default=lambda token: token)

    def token(self) -> str:
        return self.finish(sign_token(self.header, self.claims, self.signer or signer_of(self.key)))


Edit = Callable[[TokenDraft], None]


@dataclass(frozen=True, slots=True)
class Preset:
    """A preset.

    Attributes:
        summary: What is special about the token.
        edit_spec: Changes the spec, before any claim is made.
        edit_token: Changes the draft.
        needs_user: Whether it is always a user's token.
        version: Its version, whatever the API registered.
    """

    summary: str
    edit_spec: Callable[[TokenSpec, Ids], TokenSpec] = lambda spec, _ids: spec
    edit_token: Edit = lambda _draft: None
    needs_user: bool = False
    version: Literal[1, 2] | None = None


def _other_tenant(spec: TokenSpec, _ids: Ids) -> TokenSpec:
    return replace(spec, tenant_id=_other_tenant_id(spec.tenant_id))


def _other_tenant_id(tenant_id: str) -> str:
    return CONTOSO if tenant_id == FABRIKAM else FABRIKAM


def _msa(spec: TokenSpec, ids: Ids) -> TokenSpec:
    mail = "dave@outlook.example"
    user = User(ids.guid(), CONSUMERS, mail, "Dave Davis", "Dave", "Davis", mail, home_tenant_id=CONSUMERS)
    return replace(
        spec, tenant_id=CONSUMERS, user=user, version=2, audience=spec.resource_id or spec.audience
    )


def _guest(spec: TokenSpec, _ids: Ids) -> TokenSpec:
    if spec.user is None:
        return spec
    home = _other_tenant_id(spec.tenant_id)
    return replace(spec, user=replace(spec.user, home_tenant_id=home), optional=(*spec.optional, "acct"))


def _overage(spec: TokenSpec, ids: Ids) -> TokenSpec:
    return replace(spec, groups=tuple(ids.guid() for _ in range(201)))


def _cae(spec: TokenSpec, _ids: Ids) -> TokenSpec:
    return replace(spec, capabilities=("cp1",), lifetime=24 * 3600)


def _shifted(*, nbf: int, exp: int) -> Edit:
    """Shift the token's lifetime: seconds relative to now."""

    def shift(draft: TokenDraft) -> None:
        now = draft.spec.now
        draft.claims.update(iat=now + nbf, nbf=now + nbf, exp=now + exp)

    return shift


def _claims(**changes: Any) -> Edit:
    return lambda draft: draft.claims.update(changes)


def _without(*names: str) -> Edit:
    def remove(draft: TokenDraft) -> None:
        for name in names:
            draft.claims.pop(name, None)

    return remove


def _foreign_issuer(draft: TokenDraft) -> None:
    draft.claims["iss"] = f"https://login.attacker.example/{draft.spec.tenant_id}/v2.0"


def _mismatched_tid(draft: TokenDraft) -> None:
    other = replace(draft.spec, tenant_id=_other_tenant_id(draft.spec.tenant_id))
    draft.claims["iss"] = other.issuer


def _alg_none(draft: TokenDraft) -> None:
    draft.header = {"typ": "JWT", "alg": "none"}
    draft.signer = no_signature


def _hs256(draft: TokenDraft) -> None:
    draft.header["alg"] = "HS256"
    draft.signer = hmac_with_public_key(draft.key)


def _signed_with(choose: Callable[[TokenDraft], SigningKey], *, keep_kid: bool = False) -> Edit:
    def sign(draft: TokenDraft) -> None:
        draft.key = choose(draft)
        if not keep_kid:
            draft.header.update({name: draft.key.kid for name in ("kid", "x5t") if name in draft.header})

    return sign


def _tampered(draft: TokenDraft) -> None:
    def tamper(token: str) -> str:
        header, _, signature = token.split(".")
        payload = compact_json({**draft.claims, "roles": ["Everything.ReadWrite.All"]})
        return f"{header}.{base64url(payload)}.{signature}"

    draft.finish = tamper


def _id_token(draft: TokenDraft) -> None:
    draft.claims = {
        **id_claims(draft.spec, draft.ids),
        "aud": draft.spec.resource_id or draft.spec.audience,
    }


def _for_graph(draft: TokenDraft) -> None:
    draft.claims["aud"] = "https://graph.microsoft.com"
    draft.header = {"typ": "JWT", "nonce": draft.ids.text(32), **draft.header}


def _second_tid(draft: TokenDraft) -> None:
    draft.claims["TID"] = _other_tenant_id(draft.spec.tenant_id)


def _bound_to(method: str) -> Edit:
    return lambda draft: draft.claims.update(cnf={method: draft.ids.text(32)})


def _agent(*, act: str, sub: str, idtyp: str) -> Edit:
    def mark(draft: TokenDraft) -> None:
        draft.claims.update(
            idtyp=idtyp,
            xms_act_fct=act,
            xms_sub_fct=sub,
            xms_tnt_fct="3 12",
            xms_idrel="7" if idtyp == "app" else "1",
            xms_par_app_azp=draft.ids.guid(),
        )

    return mark


def _huge(draft: TokenDraft) -> None:
    draft.claims["xms_filler"] = base64.b64encode(draft.ids.octets(15 * 1024)).decode()


def _government_key(draft: TokenDraft) -> SigningKey:
    return draft.keys.government


PRESETS: Final[Mapping[str, Preset]] = MappingProxyType({
    "expired": Preset("Expired an hour ago.", edit_token=_shifted(nbf=-7500, exp=-3600)),
    "not-yet-valid": Preset("Valid in an hour.", edit_token=_shifted(nbf=3600, exp=7200)),
    "wrong-aud": Preset("For another API.", edit_token=_claims(aud="6fd7c1a0-0000-4000-8000-0000000000aa")),
    "wrong-iss": Preset("From an unknown issuer.", edit_token=_foreign_issuer),
    "iss-tid-mismatch": Preset("The issuer of one tenant, the tid of another.", edit_token=_mismatched_tid),
    "other-tenant": Preset("Valid, but of another tenant.", _other_tenant),
    "v1": Preset("A v1.0 token, whatever the API registered.", version=1),
    "v2": Preset("A v2.0 token, whatever the API registered.", version=2),
    "alg-none": Preset("Unsigned.", edit_token=_alg_none),
    "hs256-with-public-key": Preset("HMAC with the public key as secret.", edit_token=_hs256),
    "unknown-kid": Preset("Signed by a key that is not published.",
                          edit_token=_signed_with(lambda _: predefined_key("forger"))),
    "forged": Preset("A published kid, but signed by another key.",
                     edit_token=_signed_with(lambda _: predefined_key("forger"), keep_kid=True)),
    "kid-of-consumer-key": Preset("Signed by the key of personal accounts, with the tenant's issuer.",
                                  edit_token=_signed_with(lambda d: d.keys.consumers)),
    "gov-cloud-key": Preset("Signed by a key of another cloud.", edit_token=_signed_with(_government_key)),
    "tampered": Preset("Roles added after signing.", edit_token=_tampered),
    "no-roles": Preset("No roles and no scopes: any app can get this token.",
                       edit_token=_without("roles", "scp")),
    "empty-scp": Preset("A user's token with an empty scope.", edit_token=_claims(scp=""), needs_user=True),
    "id-token-as-access-token": Preset("An ID token.", edit_token=_id_token, needs_user=True),
    "graph-token": Preset("For Microsoft Graph: only Graph can verify it.", version=1, edit_token=_for_graph),
    "group-overage": Preset("Too many groups to list.", _overage, needs_user=True),
    "guest": Preset("A guest from another tenant.", _guest, needs_user=True),
    "msa-user": Preset("A personal account.", _msa, needs_user=True),
    "agent-autonomous": Preset("An AI agent without a user.",
                               edit_token=_agent(act="11", sub="11", idtyp="app")),
    "agent-for-user": Preset("An AI agent for a user.", edit_token=_agent(act="11", sub="3", idtyp="user"),
                             needs_user=True),
    "agent-user": Preset("An AI agent's own user account.",
                         edit_token=_agent(act="11", sub="13", idtyp="user"), needs_user=True),
    "cae": Preset("Long-lived, for a client that handles claims challenges (CAE).", _cae),
    "duplicate-tid-case": Preset("`tid` and `TID`, two tenants.", edit_token=_second_tid),
    "huge": Preset("Over 16 KiB.", edit_token=_huge),
    "mtls-bound": Preset("Bound to a client certificate.", edit_token=_bound_to("x5t#S256")),
    "dpop-bound": Preset("Bound to a DPoP key.", edit_token=_bound_to("jkt")),
})  # fmt: skip


def preset_named(name: str) -> Preset:
    """Return the preset of that name.

    Raises:
        LookupError: It does not exist; the message lists all.
    """
    if name not in PRESETS:
        raise LookupError(f"There is no preset {name!r}. Use one of: {', '.join(PRESETS)}.")
    return PRESETS[name]
