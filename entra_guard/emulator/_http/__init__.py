"""HTTP without Entra: messages, the in-process transport, the ASGI app, the loopback server, HTML."""
