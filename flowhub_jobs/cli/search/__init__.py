"""Verbs of the catalogs and of this machine: search, show, fits, device, catalog."""
