"""worker, schedule, limit, report, logs: what goes on unattended."""
