"""Parsers for the headers of model files. Pure: first bytes in, values out; no network."""
