"""What people do in a browser, as methods: signing in to an app, approving a device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entra_guard.emulator._directory.app_credentials import AppCredentials
from entra_guard.emulator._oauth.authorize import new_code, read_sign_in
from entra_guard.emulator._oauth.device import decide_device
from entra_guard.emulator._oauth.redirects import only_uri
from entra_guard.emulator._oauth.scopes import read_scopes
from entra_guard.emulator._oauth.user_consent import consent_as

if TYPE_CHECKING:
    from entra_guard.emulator._directory.lookup import App, Person


class UserActions(AppCredentials):
    """Lets people sign in without a browser."""

    def sign_in(
        self,
        client: App,
        user: Person = "alice",
        *,
        scope: str,
        redirect_uri: str | None = None,
        code_challenge: str = "",
        code_challenge_method: str = "S256",
        nonce: str = "",
    ) -> str:
        """Sign in and consent as a user, and get the authorization code the client would be sent.

        Args:
            client: The app.
            user: Who signs in.
            scope: What the client asks for, as in the authorize request.
            redirect_uri: One of the client's; by default its only one.
            code_challenge: For PKCE.
            code_challenge_method: `S256` or `plain`.
            nonce: Comes back in the ID token.

        Raises:
            LookupError: There is no such app or user.
            EntraError: The authorize endpoint would refuse it.
        """
        with self.lock:
            app = self.find_app(client)
            person = self.find_user(user, app.tenant_id)
            fields = {
                "client_id": app.client_id,
                "redirect_uri": redirect_uri or only_uri(app),
                "scope": scope,
                "nonce": nonce,
                "code_challenge": code_challenge,
                "code_challenge_method": code_challenge_method if code_challenge else "plain",
            }
            request = read_sign_in(self, person.tenant_id, fields)
            consent_as(self, app, person, read_scopes(scope))
            return new_code(self, request, person)

    def approve_device(self, user_code: str, user: Person = "alice") -> None:
        """Approve a device's sign-in, as the user would on the page it names.

        Raises:
            LookupError: No device shows that code, or there is no such user.
        """
        with self.lock:
            decide_device(self, user_code, self.find_user(user).id)
