"""The jobs: states (pure), a person's pen (ledger), the workers' (leases, rescue), and what screens read (reports)."""
