"""What every web adapter needs; imports no framework."""
