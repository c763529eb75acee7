"""Looks at the sources of what is to be queued, before it is queued: `enqueue --check`."""
