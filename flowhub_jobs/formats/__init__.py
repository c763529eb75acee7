"""Parsers for the headers of model files. Pure: they get the first bytes, and use no network."""
