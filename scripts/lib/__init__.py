"""Parts of the scripts: packages and modules that no person runs."""
