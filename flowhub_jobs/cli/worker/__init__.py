"""Verbs of the worker: worker, schedule, limit, cap, report, logs."""
