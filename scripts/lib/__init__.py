"""Parts of the scripts: packages and modules that users do not run directly."""
