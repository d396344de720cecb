"""Tokens: claims, signatures, presets, and the issuer that combines them."""
