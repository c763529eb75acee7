"""What this machine is, and which models it can run."""
