"""Preflight: asks the sources for the first bytes before jobs are queued (`enqueue --check`)."""
