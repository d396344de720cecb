"""`entra-guard app`, `user` and `identity`: registrations by Microsoft Graph, on the emulator or in a tenant."""
