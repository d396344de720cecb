"""Protect a Python web API with Microsoft Entra ID tokens, and know why a request got a 401."""
