"""Foreign catalogs made ours: one module a shape (`lmstudio`, `gpt4all`, `localai`, `ours`), `read` chooses among them.

An importer turns entries into models of our own shape (`schema`); what it cannot take it counts and names (`intake`).
"""
