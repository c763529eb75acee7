"""Search of the catalogs, and verdicts on models: search, details, variants."""
