"""The jobs: states (pure), what a person asks (ledger), what a worker writes (leases), what screens read (reports)."""
