"""The emulator's own pages and the templates of all pages."""
