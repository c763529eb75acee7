"""Verbs of the worker: worker, schedule, limit, report, logs."""
