"""A Hub-shaped origin: its repositories, its API, its two ports, and a command that serves local files."""
