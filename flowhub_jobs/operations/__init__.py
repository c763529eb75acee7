"""The application layer: what the command line, the page and the Python API call."""
