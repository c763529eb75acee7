"""The catalogs in force: the base and the imported ones; their import and update."""
