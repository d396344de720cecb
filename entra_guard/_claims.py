"""The claims that decide, read with exact types from a token's payload. Judges nothing.

Names and types are those of Microsoft's access token claims reference. The full claims stay in the
payload and are parsed when somebody asks for them (`Principal.claims`).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from entra_guard._json import NotStrictJsonError, read_object

_LATEST: Final = 253_402_300_800.0  # the year 10000: no lifetime ends later, whoever wrote it


class Claims(msgspec.Struct, frozen=True, gc=False):
    """The claims of an access token that a decision looks at. Absent ones are empty."""

    aud: str | tuple[str, ...] = ""
    iss: str = ""
    tid: str = ""
    ver: str = ""
    exp: float | None = None
    nbf: float | None = None
    iat: float | None = None
    oid: str = ""
    sub: str = ""
    azp: str = ""
    appid: str = ""
    scp: str = ""
    roles: tuple[str, ...] = ()
    idtyp: str = ""
    uti: str = ""
    cnf: Any = None

    @property
    def app_id(self) -> str:
        """The client application: 'azp' in v2.0 tokens, 'appid' in v1.0 tokens."""
        return self.azp if self.ver == "2.0" else self.appid or self.azp

    @property
    def scopes(self) -> tuple[str, ...]:
        """The delegated permissions; '/' alone stands for none (Microsoft: agent token claims)."""
        return tuple(self.scp.split()) if self.scp != "/" else ()

    @property
    def is_app(self) -> bool:
        """Whether nobody is signed in: 'idtyp' says so, or no 'scp' and 'sub' equal to 'oid'."""
        if self.idtyp:
            return self.idtyp == "app"
        return not self.scp and self.sub == self.oid


_TENANT_MISSPELT: Final = frozenset({"Tid", "tId", "tiD", "TId", "TiD", "tID", "TID"})


def read_claims(payload: bytes) -> Claims:
    """Read the deciding claims from a decoded payload.

    Raises:
        NotStrictJsonError: It is not one JSON object with a single meaning, or a deciding claim has
            another type than Entra gives it.
    """
    document = read_object(payload)
    if not document.keys().isdisjoint(_TENANT_MISSPELT):
        # Microsoft.IdentityModel refuses the same (IDX40011): two libraries could read two tenants.
        raise NotStrictJsonError("'tid' stands in it in another letter case")
    try:
        claims = msgspec.convert(document, Claims)
    except msgspec.ValidationError as error:
        raise NotStrictJsonError(_shape_only(error)) from None
    _refuse_impossible_times(claims)
    return claims


def _refuse_impossible_times(claims: Claims) -> None:
    for moment in (claims.exp, claims.nbf, claims.iat):
        if moment is not None and not 0 <= moment <= _LATEST:
            raise NotStrictJsonError("a time in it lies beyond reason")


def _shape_only(error: msgspec.ValidationError) -> str:
    """Keep msgspec's words on types and the path, which quote no value."""
    return str(error)
