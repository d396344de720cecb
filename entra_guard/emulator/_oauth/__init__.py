"""The endpoints of the authority: metadata, authorize, token, device code, consent, managed identity."""
