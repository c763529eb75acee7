"""Requests for ranges of a file: connections, redirects, response heads and bodies. Knows no transfer state."""
