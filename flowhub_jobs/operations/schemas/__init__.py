"""The public JSON (`flowhub/…/1`): one module a subject. Keys are never removed; unknown is null."""
