"""Reasons that are about the token: keys, times, issuer, tenant, audience, kind."""

from __future__ import annotations

from typing import Final

from entra_guard._validation.hints import OTHER_API
from entra_guard.cli.reason_guides._guide import Guide
from entra_guard.cli.reason_guides._requests import NEW_TOKEN

_EXPLAIN: Final = "$ entra-guard explain < token.txt"
_APP: Final = "https://graph.microsoft.com/v1.0/applications(appId='{api}')"
_IDS: Final = {
    "tenant_id": "aaaabbbb-0000-cccc-1111-dddd2222eeee",
    "app_id": "00001111-aaaa-2222-bbbb-3333cccc4444",
}
_API: Final = "11112222-bbbb-3333-cccc-4444dddd5555"
_CLOCK: Final = (
    "Compare this host's clock with Entra's:",
    "$ entra-guard doctor",
    "$ timedatectl",
)

TOKENS: Final[dict[str, Guide]] = {
    "token_for_graph": Guide(
        causes=(
            "The client requested User.Read or https://graph.microsoft.com/.default.",
            "The client requested no scope of its own, such as 'openid profile' only: Entra then issues a token for Graph.",
            "A user's token for Graph was taken out of the session in place of the one for this API.",
        ),
        see=(_EXPLAIN,),
        commands=(NEW_TOKEN,),
        otherwise="Let the client request {request_scope}, and send that token to this API. Each API needs its own token.",
        facts={"found": "https://graph.microsoft.com", "request_scope": f"api://{_API}/.default", **_IDS},
    ),
    "unknown_key": Guide(
        causes=(
            "The API has its own signing key (claims mapping): the key is only in the key set with ?appid=.",
            "The token is of another tenant type or cloud: External ID, B2C, US government, China.",
            "The keys file is older than Entra's last rotation, and the host cannot reach Entra.",
            "The token is forged.",
        ),
        see=(_EXPLAIN, "$ entra-guard keys show keys.json"),
        settings=("ENTRA_GUARD_APP_SPECIFIC_KEYS=true",),
        portal="Enterprise applications > the API > Single sign-on > Attributes & Claims: shows whether claims are mapped.",
        otherwise="Guard(app_specific_keys=True) reads the API's own keys too. For another cloud, set 'authority'.",
        facts={"kid": "k1", "expected": ["k2", "k3"], **_IDS},
    ),
    "bad_signature": Guide(
        causes=(
            "A program between Entra and the API changed the token, or cut it.",
            "The token is for Microsoft Graph or has a nonce in its header: only Graph can verify it.",
            "The token is forged.",
        ),
        see=(_EXPLAIN,),
        commands=(NEW_TOKEN,),
        otherwise="Send the token unchanged. Compare its length at the client and at the API.",
        facts={"kid": "k1", **_IDS},
    ),
    "key_of_other_issuer": Guide(
        causes=(
            "The token names the issuer of one tenant, and was signed with the key of another: it is forged.",
        ),
        see=(_EXPLAIN,),
        commands=(NEW_TOKEN,),
        otherwise="Use a token of an accepted tenant.",
        facts={"expected": "issuer of the tenant", "found": "issuer of personal accounts", **_IDS},
    ),
    "key_of_other_cloud": Guide(
        causes=("The guard's authority is one cloud, and the token's key belongs to another.",),
        see=(_EXPLAIN,),
        settings=("ENTRA_GUARD_AUTHORITY={authority}",),
        otherwise="Set 'authority' to the API's cloud: 'public', 'us-government', 'china'.",
        facts={"expected": "microsoftonline.com", "found": "microsoftonline.us", **_IDS},
    ),
    "expired": Guide(
        causes=(
            "The client caches the token and does not look at expires_in.",
            "A page stayed open overnight and does not renew its token.",
            "This host's clock is fast.",
        ),
        see=(
            "'expired_for_seconds' and 'entra_clock_ahead_by_seconds' in the log line show whether a cache or a clock is the cause.",
            *_CLOCK,
        ),
        commands=(NEW_TOKEN,),
        otherwise="Let the client request a new token before the old one ends: MSAL and the credentials of this package do.",
        facts={"expired_for_seconds": 3600, "entra_clock_ahead_by_seconds": 0, **_IDS},
    ),
    "not_yet_valid": Guide(
        causes=("This host's clock is slow.",),
        see=_CLOCK,
        otherwise="Synchronise this host's clock (chrony, systemd-timesyncd; in a virtual machine also the host's).",
        facts={"early_by_seconds": 600, "entra_clock_ahead_by_seconds": 900, **_IDS},
    ),
    "issued_in_future": Guide(
        causes=("This host's clock is slow.",),
        see=_CLOCK,
        otherwise="Synchronise this host's clock.",
        facts={"early_by_seconds": 600, "entra_clock_ahead_by_seconds": 900, **_IDS},
    ),
    "wrong_issuer": Guide(
        causes=(
            "The guard has another authority than the client: External ID, B2C, another cloud, or an issuer that is not Microsoft's.",
            "The guard's tenant is another one, and the token names a third.",
            "The token is forged.",
        ),
        see=(_EXPLAIN, "$ entra-guard doctor"),
        commands=("entra-guard token --tenant {tenant} --scope {request_scope} --raw > token.txt",),
        settings=("ENTRA_GUARD_AUTHORITY={authority}",),
        otherwise="Set the guard's tenant and authority to those from which clients get their tokens.",
        facts={
            "expected": "https://login.microsoftonline.com/.../v2.0",
            "found": "https://other.example",
            **_IDS,
        },
    ),
    "wrong_tenant": Guide(
        causes=(
            "The client signs in to another tenant: its own, or 'common' with a user of another organization.",
            "The guard has the tenant of another environment, such as test.",
            "The API is meant for several organizations, and the guard accepts one.",
        ),
        see=(_EXPLAIN, "$ az account show --query tenantId"),
        commands=("entra-guard token --tenant {tenant} --scope {request_scope} --raw > token.txt",),
        portal="App registrations > the client > Overview: 'Directory (tenant) ID' is the tenant to sign in to.",
        az=(
            "az login --tenant {tenant}",
            "az account get-access-token --scope {request_scope} --tenant {tenant}",
        ),
        otherwise="If the guard has the tenant of another environment, correct its tenant. For several organizations: "
        "Guard(tenant=Tenants.some([...], ...)) or Tenants.where(...).",
        facts={
            "expected": ["aaaabbbb-0000-cccc-1111-dddd2222eeee"],
            "found": "bbbbcccc-1111-dddd-2222-eeee3333ffff",
        },
    ),
    "wrong_version": Guide(
        causes=(
            "The API's registration has no requestedAccessTokenVersion: then Entra issues v1.0 tokens.",
            "The version was set in the client's registration: only the API's counts.",
            "The guard accepts one version only (token_versions).",
        ),
        see=(_EXPLAIN, "$ az ad app show --id {api} --query api.requestedAccessTokenVersion"),
        commands=("entra-guard app update {api} --token-version 2", NEW_TOKEN),
        portal="App registrations > the API > Manifest: set api.requestedAccessTokenVersion to 2.",
        az=(
            f'az rest --method PATCH --uri "{_APP}" --body \'{{"api": {{"requestedAccessTokenVersion": 2}}}}\'',
        ),
        otherwise="Or accept both: Guard(token_versions=['1.0', '2.0']), which is the default.",
        facts={"expected": ["2.0"], "found": "1.0", **_IDS},
    ),
    "wrong_cloud": Guide(
        causes=("The client gets its token from another Microsoft cloud than the guard's authority.",),
        see=(_EXPLAIN,),
        settings=("ENTRA_GUARD_AUTHORITY={authority}",),
        az=("az cloud set --name AzureUSGovernment",),
        otherwise="Set 'authority' to the token's cloud, or get the token from the API's own cloud.",
        facts={"found": "https://login.microsoftonline.us/.../v2.0", **_IDS},
    ),
    "personal_account": Guide(
        causes=("A user signed in with a personal Microsoft account (Outlook, Xbox).",),
        see=(_EXPLAIN,),
        portal="App registrations > the client > Authentication > Supported account types: work or school accounts only.",
        az=("az ad app update --id {client} --sign-in-audience AzureADMyOrg",),
        commands=("entra-guard app update {client} --accounts single",),
        otherwise="To accept personal accounts, use Tenants.everyone(...) or Tenants.personal().",
        facts={"found": "9188040d-6c67-4c5b-b112-36a304b66dad"},
    ),
    "wrong_audience": Guide(
        causes=(
            "The client requests a scope of another API, or of itself: <its own client id>/.default.",
            "The guard's audience is not the API's client id, but the client's, an object id, or an App ID URI "
            "only: v2.0 tokens always have the client id.",
            "The API issues v1.0 tokens, whose audience is the App ID URI that the client named.",
            "The audience differs in letter case, 'api://' or a slash ('hint' in the log line names it).",
        ),
        see=(_EXPLAIN, '$ az ad app show --id {api} --query "{appId: appId, uris: identifierUris}"'),
        commands=("entra-guard app update {api} --token-version 2", NEW_TOKEN),
        settings=("ENTRA_GUARD_AUDIENCE={api}",),
        portal="App registrations > the API > Overview: 'Application (client) ID' is the audience; "
        "Expose an API: 'Application ID URI' is what clients put before the scope.",
        az=("az account get-access-token --scope {request_scope} --tenant {tenant}",),
        otherwise="Let the client request {request_scope}, and send that token to this API.",
        facts={
            "expected": [_API],
            "found": "22223333-cccc-4444-dddd-5555eeee6666",
            "hint": OTHER_API,
            "request_scope": f"api://{_API}/.default",
            **_IDS,
        },
    ),
    "id_token": Guide(
        causes=(
            "The client sends id_token, which is for the client itself, in place of access_token.",
            "The client requested no scope of this API, so that there is no access token for it.",
        ),
        see=(_EXPLAIN,),
        commands=(NEW_TOKEN,),
        otherwise="Let the client request {request_scope}, and send the access_token of that response.",
        facts={"found": "a token without azp or appid: an ID token", **_IDS},
    ),
    "invalid_claims": Guide(
        causes=("The token was not issued by Entra, or a program rewrote it.",),
        see=(_EXPLAIN,),
        commands=(NEW_TOKEN,),
        otherwise="Send the access token that Entra issued, unchanged.",
        facts={"found": "exp is a string", **_IDS},
    ),
    "no_service_principal": Guide(
        causes=(
            "The client's registration is of another tenant, and this tenant has not consented to it.",
            "The client's enterprise application was deleted, or never created (registrations made by Graph have none).",
        ),
        see=("$ az ad sp show --id {client}",),
        commands=(
            "entra-guard app permission add {client} {api} --role {role}",
            "entra-guard app grant {client}",
            NEW_TOKEN,
        ),
        portal="Enterprise applications > New application, or open the admin consent page of the client.",
        az=("az ad sp create --id {client}",),
        facts=_IDS,
    ),
    "proof_of_possession_required": Guide(
        causes=("The client requested a token that is bound to a key or certificate (PoP, mTLS).",),
        see=(_EXPLAIN,),
        commands=(NEW_TOKEN,),
        otherwise="Request a bearer token, without token_type=pop or mtls_pop.",
        facts={"found": "a token bound to a key (cnf)", **_IDS},
    ),
    "token_revoked": Guide(
        causes=("guard.revoke() was called for this caller: the user was disabled, or a session was ended.",),
        see=(
            "The log of the program that calls revoke() names the caller and the time.",
            "'entra-guard explain' accepts such a token: a revocation is known only in the process that called revoke().",
        ),
        commands=(NEW_TOKEN,),
        portal="Users > the user > Overview: 'Account status', and 'Revoke sessions'.",
        otherwise="The client must request a new token; a user may have to sign in again.",
        facts=_IDS,
    ),
    "auth_context_required": Guide(
        causes=(
            "The user's sign-in does not meet the Conditional Access policy of the authentication context yet.",
            "The client does not handle claims challenges: it must declare cp1, and the API needs xms_cc.",
        ),
        see=(
            "$ entra-guard explain --auth-context c1 < token.txt",
            "'advice' in the log line says what the client lacks.",
        ),
        commands=("entra-guard app update {api} --optional-claim xms_cc --optional-claim acrs",),
        portal="Protection > Conditional Access > Authentication contexts; App registrations > the API > "
        "Token configuration: optional claims xms_cc and acrs.",
        otherwise="Let the client request a token with the claims of the challenge (MSAL: claims=...).",
        facts={"needs": "c1", "has": [], **_IDS},
    ),
    "sign_in_too_old": Guide(
        causes=(
            "The user signed in longer ago than max_age.",
            "The issuer writes no auth_time into access tokens.",
        ),
        see=("$ entra-guard explain --guard {module}:guard --max-age 300 < token.txt",),
        otherwise="Let the client send max_age in the authorization request (RFC 9470). With Entra, use auth_context.",
        facts={"needs": "max_age=300", **_IDS},
    ),
}
