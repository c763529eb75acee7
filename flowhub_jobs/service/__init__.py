"""The worker as a service of the user's own session: systemd's user unit on Linux, launchd's agent on macOS.

service_base     what both managers share: the state of the service, calls of a manager, checks before a write
systemctl        installs, removes and inspects the user unit of systemd
launchctl        installs, removes and inspects the agent of launchd
unit_text        the texts of the unit and of the property list; pure
program          the command line and the environment of the service; pure
sd_notify        notifies systemd of the worker's state
"""
