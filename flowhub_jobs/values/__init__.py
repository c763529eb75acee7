"""Plain values that every layer shares: enumerations, artifacts, jobs, digests, text that users type."""
