"""The verb help: pages for a terminal, and the manual as one JSON object."""
