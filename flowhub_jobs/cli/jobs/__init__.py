"""Verbs of the queue: enqueue, status, wait, cancel, pause, resume, retry, start, priority; bare `flowhub`."""
