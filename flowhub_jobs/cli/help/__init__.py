"""What `flowhub help` shows: pages for a terminal, and one JSON object for programs."""
