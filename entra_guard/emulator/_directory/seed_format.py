"""The format of a seed file: tenants with their applications, people and identities, in words."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from entra_guard.emulator._directory.rules import MAX_NAME, RegistrationError
from entra_guard.emulator._http.messages import check_texts, parse_json
from entra_guard.emulator._store.ids import GUID_PATTERN

_YAML: Final = 'YAML needs PyYAML: pip install "entra-guard[emulator]", or use JSON.'
Permissions = dict[str, list[str]]
_NAME: Final = r"\S"
# \Z: `$` would accept a line feed at the end.
_GUID: Final = rf"^{GUID_PATTERN}\Z"
_DOMAIN: Final = r"^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+\Z"
# What an error says in place of the pattern.
_WORDS: Final = {_NAME: "a name", _GUID: "a GUID", _DOMAIN: "a domain name"}
Name = Annotated[str, msgspec.Meta(pattern=_NAME, max_length=MAX_NAME)]
Guid = Annotated[str, msgspec.Meta(pattern=_GUID)]
Domain = Annotated[str, msgspec.Meta(pattern=_DOMAIN)]
Days = Annotated[float, msgspec.Meta(ge=-36500, le=36500)]


class RoleSeed(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """An app role. In a file, its value alone is enough.

    Attributes:
        members: `apps`, `users` or both.
    """

    value: str
    id: Guid = ""
    name: str = ""
    description: str = ""
    members: list[str] = msgspec.field(default_factory=lambda: ["apps", "users"])
    enabled: bool = True


class ScopeSeed(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """A scope. In a file, its value alone is enough. `admin`: only administrators may consent."""

    value: str
    id: Guid = ""
    name: str = ""
    admin: bool = False
    enabled: bool = True


class SecretSeed(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """A client secret: its value, or the SHA-256 of it that an export has. In a file, the value is enough."""

    value: str = ""
    sha256: str = ""
    hint: str = ""
    id: Guid = ""
    description: str = ""
    days: Days = 730.0
    expires: str = ""


class CertificateSeed(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """A certificate as PEM."""

    pem: str
    id: Guid = ""
    description: str = ""


class FederatedSeed(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """A federated credential."""

    issuer: str
    subject: str
    audience: str = "api://AzureADTokenExchange"
    name: str = "federated"
    id: Guid = ""
    description: str = ""
    jwks: dict[str, Any] | None = None


class AgentSeed(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """An agent identity of a blueprint. In a file, the name is enough.

    Attributes:
        granted: Its own permissions, by API.
    """

    name: Name
    id: Guid = ""
    granted: Permissions = {}


class AppSeed(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """An application.

    Attributes:
        app_id_uris: By default `api://<client id>` if it has roles or scopes.
        permissions: What it needs, by API: a name in this tenant, a client id, or `graph`.
        granted: What is granted to it; `true` for all permissions.
        blueprint: Whether it is a blueprint of agents; only a blueprint has `agents`.
    """

    name: Name
    client_id: Guid = ""
    object_id: Guid = ""
    service_principal_id: Guid = ""
    unique_name: str = ""
    accounts: str = "AzureADMyOrg"
    token_version: int | None = 2
    app_id_uris: list[str] | None = None
    roles: list[str | RoleSeed] = []
    scopes: list[str | ScopeSeed] = []
    redirect_uris: list[str] = []
    spa_redirect_uris: list[str] = []
    public_redirect_uris: list[str] = []
    public_client: bool = False
    optional_claims: list[str] = []
    group_claims: bool = False
    assignment_required: bool = False
    enabled: bool = True
    secrets: list[str | SecretSeed] = []
    certificates: list[str | CertificateSeed] = []
    federated: list[FederatedSeed] = []
    permissions: Permissions = {}
    granted: bool | Permissions = False
    authorized_clients: Permissions = {}
    blueprint: bool = False
    agents: list[Name | AgentSeed] = []


class UserSeed(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """A user. In a file, the name is enough.

    Attributes:
        name: The user principal name, or its part before the @.
        home: A guest's own tenant.
        roles: App roles that the user holds, by API.
        agent: For an agent's own account: the agent's id, or its name in this tenant.
    """

    name: Name
    id: Guid = ""
    display_name: str = ""
    mail: str | None = None
    job_title: str | None = None
    home: str = ""
    enabled: bool = True
    roles: Permissions = {}
    agent: str = ""


class GroupSeed(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """A security group; members are names of users in this tenant."""

    name: Name
    id: Guid = ""
    members: list[str] = []
    roles: Permissions = {}


class IdentitySeed(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """A managed identity. In a file, the name is enough."""

    name: Name
    client_id: Guid = ""
    id: Guid = ""
    resource_path: str = ""
    system_assigned: bool = False
    roles: Permissions = {}


class TenantSeed(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """A tenant and everything in it."""

    name: Name
    id: Guid = ""
    domain: Domain = ""
    region: str = "EU"
    users: list[Name | UserSeed] = []
    groups: list[GroupSeed] = []
    apps: list[AppSeed] = []
    identities: list[Name | IdentitySeed] = []


class Seed(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """A directory in words. Ids that are left out are derived from the names: the same on every run."""

    tenants: list[TenantSeed]


def parse_seed(content: bytes, *, yaml: bool) -> Seed:
    """Parse the text of a seed file.

    Raises:
        RegistrationError: It is not JSON or YAML, or does not fit the format; the message names the place.
    """
    try:
        return seed_of(check_texts(_yaml(content)) if yaml else parse_json(content))
    except RecursionError:
        raise RegistrationError("The seed is nested too deeply.") from None
    except ValueError as error:
        if isinstance(error, RegistrationError):
            raise
        raise RegistrationError(f"The seed is not valid {'YAML' if yaml else 'JSON'}: {error}") from None


def seed_of(document: Any) -> Seed:
    """Return a seed from its JSON.

    Raises:
        RegistrationError: It does not fit the format.
    """
    try:
        seed = msgspec.convert(document, Seed)
    except msgspec.ValidationError as error:
        raise RegistrationError(f"The seed does not fit the format: {_in_words(error)}.") from None
    if not seed.tenants:
        raise RegistrationError("The seed has no tenants: add at least one, with a name.")
    return seed


def _in_words(error: msgspec.ValidationError) -> str:
    text = str(error)
    for pattern, words in _WORDS.items():
        text = text.replace(f"`str` matching regex {pattern!r}", words)
    return text


def _yaml(content: bytes) -> Any:
    try:
        import yaml  # noqa: PLC0415  # only for seeds in YAML
    except ImportError:
        raise RegistrationError(_YAML) from None
    try:
        return yaml.load(content, _loader(yaml.SafeLoader))  # noqa: S506 (a safe loader)
    except yaml.YAMLError as error:
        raise RegistrationError(f"The seed is not valid YAML: {' '.join(str(error).split())}") from None


def _loader(safe_loader: Any) -> Any:
    """Return a YAML loader that refuses a key that is there twice: YAML would drop the first one silently."""
    from yaml.composer import ComposerError  # noqa: PLC0415  # only for seeds in YAML

    class Loader(safe_loader):  # type: ignore[misc]
        # While composing: later, a mapping also has the keys that it merges (`<<`) and may override.
        def compose_mapping_node(self, anchor: Any) -> Any:
            node, seen = safe_loader.compose_mapping_node(self, anchor), set[str]()
            for key in (key for key, _ in node.value if isinstance(key.value, str)):
                if key.value in seen:
                    raise ComposerError(None, None, f"the key {key.value!r} is there twice", key.start_mark)
                seen.add(key.value)
            return node

    return Loader


def as_yaml(document: Any) -> str:
    """Return a seed's JSON as YAML.

    Raises:
        RegistrationError: PyYAML is not installed.
    """
    try:
        import yaml  # noqa: PLC0415  # only for exports in YAML
    except ImportError:
        raise RegistrationError(_YAML) from None
    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100))  # pyright: ignore[reportUnknownMemberType]
