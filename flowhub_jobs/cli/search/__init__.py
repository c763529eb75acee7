"""search, show, fits, device, catalog: before a download."""
