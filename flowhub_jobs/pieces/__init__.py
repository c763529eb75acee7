"""Ranges and pieces of a file, and a SHA-256 whose state can be saved. Used by `transfer` and `store`."""
