"""Reasons that are about the request: the header, and the form of what is in it."""

from __future__ import annotations

from typing import Final

from entra_guard.cli.reason_guides._guide import Guide

_TOKEN: Final = "entra-guard token --scope {request_scope} --raw"  # noqa: S105  # a command
NEW_TOKEN: Final = f"{_TOKEN} > token.txt"
CALL: Final = f'$ curl -i -H "Authorization: Bearer $({_TOKEN})" <URL of the API>'

REQUESTS: Final[dict[str, Guide]] = {
    "missing_token": Guide(
        causes=(
            "The client sends no Authorization header.",
            "A proxy or gateway in front of the API removes the header (nginx with underscores, Apache with "
            "mod_wsgi without WSGIPassAuthorization, an HTTP redirect to another host).",
            "A browser sends a CORS preflight: CORS handling must run before the guard.",
            "The client sends the token in a cookie, in the URL or in another header: the guard does not read it there.",
        ),
        see=("Call the API directly, without the proxy, and compare:", CALL),
        commands=(NEW_TOKEN,),
        otherwise="Send 'Authorization: Bearer <access token>' with every request, and let the proxy pass it on.",
    ),
    "missing_bearer": Guide(
        causes=("The client sends the token without the word Bearer.",),
        see=(CALL,),
        commands=(NEW_TOKEN,),
        otherwise="Write 'Bearer', one space and the token.",
    ),
    "malformed_authorization": Guide(
        causes=(
            "The client sends 'Bearer null' or 'Bearer undefined': its sign-in is not finished yet.",
            "Another scheme: Basic, or 'Bearer' without a space behind it.",
            "Two Authorization headers: the client's, and one that a proxy adds.",
            "A token that is broken over two lines.",
        ),
        see=("'found' in the log line describes the shape of the header, without its content.", CALL),
        commands=(NEW_TOKEN,),
        otherwise="Send one header with 'Bearer', one space and one token.",
        facts={"found": "the word undefined as a token"},
    ),
    "quoted_token": Guide(
        causes=(
            "A shell script or an .env file keeps the quotes around the token.",
            "The token was copied from JSON.",
        ),
        see=(CALL,),
        commands=(NEW_TOKEN,),
        otherwise="Send the token without quotes; 'jq -r' prints it without them.",
    ),
    "token_in_json": Guide(
        causes=("The client sends the whole response of the token endpoint.",),
        see=(CALL,),
        commands=(NEW_TOKEN,),
        otherwise="Send only the value of 'access_token'.",
    ),
    "not_a_jwt": Guide(
        causes=(
            "The client requested a token for another API: some of Microsoft's are opaque.",
            "The client sends a refresh token, a code or a session id.",
            "The API's registration has a token encryption key: then tokens are encrypted.",
            "The token was cut when it was copied, or is the name of a variable that was not replaced.",
        ),
        see=(
            "'found' in the log line says what it looks like.",
            "$ entra-guard explain < token.txt",
        ),
        commands=(NEW_TOKEN,),
        portal="App registrations > the API > Manifest: remove 'tokenEncryptionKeyId'.",
        az=("az ad app update --id {api} --set tokenEncryptionKeyId=null",),
        otherwise="Let the client request a scope of this API.",
        facts={"found": "one segment"},
    ),
    "token_too_large": Guide(
        causes=("The token contains hundreds of groups.", "Custom claims from claims mapping are large."),
        see=("$ entra-guard explain < token.txt",),
        portal="App registrations > the API > Token configuration > groups claim: 'Groups assigned to the application'.",
        az=("az ad app update --id {api} --set groupMembershipClaims=ApplicationGroup",),
        otherwise="App roles are smaller than groups, and are named in the API's registration.",
        facts={"found": "20412 bytes", "expected": "at most 16384 bytes"},
    ),
    "algorithm_not_allowed": Guide(
        causes=(
            "The token was not issued by Entra: 'none', HS256 or a header that Entra does not write.",
            "A token of another issuer, which signs with PS256 or ES256.",
        ),
        see=("$ entra-guard explain < token.txt",),
        commands=(NEW_TOKEN,),
        otherwise="Send the token that Entra issued, unchanged. For an issuer that signs with PS256: "
        "Guard(algorithms=['RS256', 'PS256']).",
        facts={"found": "HS256"},
    ),
}
