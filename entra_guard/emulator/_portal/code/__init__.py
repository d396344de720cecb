"""Code to copy that works with this emulator."""
