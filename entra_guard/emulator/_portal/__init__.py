"""The emulator's portal: register apps, issue and check tokens, and watch requests, in a browser."""
