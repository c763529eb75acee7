"""Installed models: listed, found, adopted, compared with their source, removed."""
