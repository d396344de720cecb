"""Microsoft Graph v1.0, as far as identity work needs it."""
