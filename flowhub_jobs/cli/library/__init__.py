"""list, path, verify, outdated, update, rm, prune, du, adopt, export, import: what is here."""
