"""The worker as a service of the user's own session: systemd's user unit on Linux, launchd's agent on macOS.

control          the state of the service, the calls of a service manager, and the checks before a file is written
systemd          the user unit of systemd
launchd          the agent of launchd
unit_files       the texts of the unit and of the property list; pure
program          the command line and the environment of the service; pure
sd_notify        notifies systemd of the worker's state
"""
