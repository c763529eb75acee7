"""The worker as a service of the user's own session: systemd's user unit on Linux, launchd's agent on macOS."""
