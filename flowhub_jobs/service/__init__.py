"""The worker as a service of the person's own session: systemd's user unit on Linux, launchd's agent on macOS."""
