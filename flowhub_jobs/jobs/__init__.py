"""Jobs: their states, the commands of users, the leases of workers, and the queries of screens."""
