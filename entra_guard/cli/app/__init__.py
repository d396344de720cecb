"""`entra-guard app`, `user`, `identity`: registrations by Graph, on the emulator or in a tenant."""
