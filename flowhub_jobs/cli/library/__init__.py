"""Verbs of the store: list, path, verify, outdated, update, rm, prune, du, adopt, export, import."""
