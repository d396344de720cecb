"""The issuer templates of one authority, pinned from its metadata. Fetches nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from entra_guard._validation.openid_claims import DEFAULT_RULES, ClaimRules

TENANT_PLACEHOLDER: Final = "{tenantid}"


@dataclass(frozen=True, slots=True)
class Issuer:
    """The issuers of an authority's tokens, as its OpenID configuration names them.

    Attributes:
        v2: The issuer of v2.0 tokens, with '{tenantid}' in place of any tenant.
        v1: The same for v1.0 tokens; empty where there are none.
        cloud: The configuration's cloud_instance_name; empty if it names none.
        tenant_id: The one tenant of the issuer, or empty.
        is_entra: False for other OpenID issuers, whose tokens have no tid and no ver.
        rules: Where such an issuer puts client, scopes and roles.
    """

    v2: str
    v1: str = ""
    cloud: str = ""
    tenant_id: str = ""
    is_entra: bool = True
    rules: ClaimRules = DEFAULT_RULES

    @property
    def kid_is_optional(self) -> bool:
        """Whether keys and tokens may lack a kid (RFC 7517 section 4.5): never with Microsoft."""
        return not self.is_entra and not self.rules.is_b2c

    def of_token(self, version: str, tenant_id: str) -> str:
        """Return the issuer that a token of this version and tenant must name."""
        template = self.v1 if version == "1.0" and self.is_entra else self.v2
        return template if self.tenant_id else fill(template, tenant_id)


def fill(template: str, tenant_id: str) -> str:
    """Put a tenant id into an issuer template."""
    return template.replace(TENANT_PLACEHOLDER, tenant_id)
