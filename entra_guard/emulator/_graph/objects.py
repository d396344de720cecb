"""Directory entries as Graph's JSON. Pure functions."""

from __future__ import annotations

import base64
import datetime as dt
from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._store.encoding import thumbprint

if TYPE_CHECKING:
    from entra_guard.emulator._store.directory import Directory
    from entra_guard.emulator._store.entries import (
        AppRegistration,
        AppRole,
        DelegatedGrant,
        FederatedCredential,
        Group,
        RequiredAccess,
        RoleAssignment,
        Scope,
        ServicePrincipal,
        StoredCertificate,
        StoredCredentials,
        StoredSecret,
        Tenant,
        User,
    )

Row = dict[str, Any]
USER_DEFAULT: Final = (
    "businessPhones",
    "displayName",
    "givenName",
    "jobTitle",
    "mail",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
    "surname",
    "userPrincipalName",
    "id",
)


def graph_time(seconds: float) -> str:
    """Return a time in Graph's format; the argument is in seconds since 1970."""
    return dt.datetime.fromtimestamp(int(seconds), dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_graph_time(text: str) -> float:
    """Parse a time in Graph's format; returns seconds since 1970.

    Raises:
        ValueError: It is not a time.
    """
    return dt.datetime.fromisoformat(text).timestamp()


def user_row(user: User) -> Row:
    return {
        "businessPhones": [],
        "displayName": user.display_name,
        "givenName": user.given_name,
        "jobTitle": user.job_title,
        "mail": user.mail,
        "mobilePhone": None,
        "officeLocation": None,
        "preferredLanguage": None,
        "surname": user.surname,
        "userPrincipalName": user.upn,
        "id": user.id,
        "accountEnabled": user.enabled,
        "userType": "Guest" if user.is_guest else "Member",
    }


def group_row(group: Group) -> Row:
    return {
        "id": group.id,
        "deletedDateTime": None,
        "description": None,
        "displayName": group.name,
        "groupTypes": [],
        "mail": None,
        "mailEnabled": False,
        "securityEnabled": True,
    }


def organization_row(tenant: Tenant) -> Row:
    domain = {"capabilities": "Email, OfficeCommunicationsOnline", "isDefault": True, "isInitial": True}
    return {
        "id": tenant.id,
        "deletedDateTime": None,
        "countryLetterCode": "US",
        "createdDateTime": "2020-01-01T00:00:00Z",
        "displayName": tenant.name,
        "tenantType": "AAD",
        "verifiedDomains": [{**domain, "name": tenant.domain, "type": "Managed"}],
        "assignedPlans": [],
    }


def role_row(role: AppRole) -> Row:
    return {
        "allowedMemberTypes": list(role.allowed_member_types),
        "description": role.description or role.display_name or role.value,
        "displayName": role.display_name or role.value,
        "id": role.id,
        "isEnabled": role.enabled,
        "origin": "Application",
        "value": role.value,
    }


def scope_row(scope: Scope) -> Row:
    words = scope.display_name or scope.value
    return {
        "adminConsentDescription": words,
        "adminConsentDisplayName": words,
        "id": scope.id,
        "isEnabled": scope.enabled,
        "type": scope.type,
        "userConsentDescription": words,
        "userConsentDisplayName": words,
        "value": scope.value,
    }


def secret_row(secret: StoredSecret, value: str | None = None) -> Row:
    """Return a secret; its value only in the response to the request that created it."""
    return {
        "customKeyIdentifier": None,
        "endDateTime": graph_time(secret.expires),
        "keyId": secret.key_id,
        "startDateTime": graph_time(secret.starts),
        "secretText": value,
        "hint": secret.hint,
        "displayName": secret.description,
    }


def certificate_row(stored: StoredCertificate) -> Row:
    return {
        "customKeyIdentifier": base64.b64encode(thumbprint(stored.der)).decode(),
        "displayName": stored.description,
        "endDateTime": graph_time(stored.expires),
        "key": None,
        "keyId": stored.key_id,
        "startDateTime": graph_time(stored.starts),
        "type": "AsymmetricX509Cert",
        "usage": "Verify",
    }


def federated_row(credential: FederatedCredential) -> Row:
    return {
        "id": credential.id,
        "name": credential.name,
        "issuer": credential.issuer,
        "subject": credential.subject,
        "audiences": [credential.audience],
        "description": credential.description,
    }


def application_row(directory: Directory, app: AppRegistration) -> Row:
    held = directory.credentials_of(app.client_id)
    tenant = directory.tenants.get(app.tenant_id)
    return {
        "id": app.object_id,
        "deletedDateTime": None,
        "isFallbackPublicClient": app.public_client,
        "appId": app.client_id,
        "applicationTemplateId": None,
        "identifierUris": list(app.identifier_uris),
        "createdDateTime": graph_time(app.created),
        "displayName": app.name,
        "isDeviceOnlyAuthSupported": None,
        "groupMembershipClaims": "SecurityGroup" if app.group_claims else None,
        "optionalClaims": _optional_claims(app),
        "addIns": [],
        "publisherDomain": tenant.domain if tenant else None,
        "signInAudience": app.accounts,
        "tags": [],
        "tokenEncryptionKeyId": None,
        "uniqueName": app.unique_name,
        "api": {
            "requestedAccessTokenVersion": app.token_version,
            "acceptMappedClaims": None,
            "knownClientApplications": [],
            "oauth2PermissionScopes": [scope_row(s) for s in app.scopes],
            "preAuthorizedApplications": [
                {"appId": c.client_id, "delegatedPermissionIds": list(c.scope_ids)}
                for c in app.authorized_clients
            ],
        },
        "appRoles": [role_row(r) for r in app.app_roles],
        "publicClient": {"redirectUris": list(app.public_redirect_uris)},
        "spa": {"redirectUris": list(app.spa_redirect_uris)},
        "info": _empty_info(),
        **_credential_rows(held),
        "parentalControlSettings": {"countriesBlockedForMinors": [], "legalAgeGroupRule": "Allow"},
        "requiredResourceAccess": [_required_access(access) for access in app.required],
        "web": _web_platform(app),
    }


def _optional_claims(app: AppRegistration) -> Row | None:
    if not app.optional_claims:
        return None
    rows: list[Row] = [
        {"name": name, "source": None, "essential": False, "additionalProperties": []}
        for name in app.optional_claims
    ]
    return {"idToken": [], "accessToken": rows, "saml2Token": []}


def _empty_info() -> Row:
    names = ("termsOfServiceUrl", "supportUrl", "privacyStatementUrl", "marketingUrl", "logoUrl")
    return dict.fromkeys(names)


def _credential_rows(held: StoredCredentials) -> Row:
    return {
        "keyCredentials": [certificate_row(c) for c in held.certificates],
        "passwordCredentials": [secret_row(s) for s in held.secrets],
    }


def _web_platform(app: AppRegistration) -> Row:
    implicit = {"enableIdTokenIssuance": False, "enableAccessTokenIssuance": False}
    uris = list(app.redirect_uris)
    return {
        "redirectUris": uris,
        "homePageUrl": None,
        "logoutUrl": None,
        "implicitGrantSettings": implicit,
        "redirectUriSettings": [{"uri": uri, "index": None} for uri in uris],
    }


def _required_access(access: RequiredAccess) -> Row:
    rows = [{"id": permission.id, "type": permission.type} for permission in access.permissions]
    return {"resourceAppId": access.api_id, "resourceAccess": rows}


def principal_row(directory: Directory, principal: ServicePrincipal) -> Row:
    app = directory.apps.get(principal.app_id)
    return {
        "id": principal.id,
        "deletedDateTime": None,
        "accountEnabled": principal.enabled,
        "alternativeNames": [],
        "appDisplayName": principal.name,
        "appId": principal.app_id,
        "appOwnerOrganizationId": (app.tenant_id if app else principal.tenant_id) or None,
        "appRoleAssignmentRequired": principal.assignment_required,
        "createdDateTime": graph_time(principal.created),
        "displayName": principal.name,
        "homepage": None,
        "logoutUrl": None,
        "replyUrls": [*(app.redirect_uris if app else ()), *(app.spa_redirect_uris if app else ())],
        "servicePrincipalNames": list(app.names() if app else (principal.app_id,)),
        "servicePrincipalType": principal.kind,
        "signInAudience": app.accounts if app else None,
        "tags": [],
        "addIns": [],
        "appRoles": [role_row(r) for r in (app.app_roles if app else ())],
        "info": _empty_info(),
        "keyCredentials": [],
        "oauth2PermissionScopes": [scope_row(s) for s in (app.scopes if app else ())],
        "passwordCredentials": [],
        **_agent_members(directory, principal),
    }


def _agent_members(directory: Directory, principal: ServicePrincipal) -> Row:
    """Return what makes a service principal an agent identity."""
    agent = directory.agents.get(principal.id)
    if agent is None:
        return {}
    return {
        "@odata.type": "#microsoft.graph.agentIdentity",
        "agentIdentityBlueprintId": agent.blueprint_id,
        "createdByAppId": agent.blueprint_id,
    }


def assignment_row(directory: Directory, assignment: RoleAssignment) -> Row:
    holders = (directory.principals, directory.users, directory.groups)
    holder: Any = next((h[assignment.principal_id] for h in holders if assignment.principal_id in h), None)
    resource = directory.principals.get(assignment.resource_id)
    return {
        "id": assignment.id,
        "deletedDateTime": None,
        "appRoleId": assignment.role_id,
        "createdDateTime": graph_time(assignment.created),
        "principalDisplayName": getattr(holder, "display_name", None) or getattr(holder, "name", None),
        "principalId": assignment.principal_id,
        "principalType": assignment.principal_type,
        "resourceDisplayName": resource.name if resource else None,
        "resourceId": assignment.resource_id,
    }


def grant_row(grant: DelegatedGrant) -> Row:
    return {
        "id": grant.id,
        "clientId": grant.client_id,
        "consentType": "Principal" if grant.principal_id else "AllPrincipals",
        "principalId": grant.principal_id,
        "resourceId": grant.resource_id,
        "scope": " ".join(grant.scopes),
    }
