"""The catalogs in force: the base and what was imported; how they are imported, updated and told of."""
