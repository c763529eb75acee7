"""Verbs of the worker, its node and its database.

worker             downloads queued models · import_late_modules: imports modules before an upgrade replaces their files
service            worker install, uninstall, status: the worker as a service
schedule           the weekly windows in which jobs run, and their rates
limit              the speed limit of all jobs
cap                the most bytes in a day or month
report             the report of a night · report_view: the screen · report_needs_view: its section of problems
nodes              the machines that share the database
doctor             checks everything that downloads rely on
db                 backs up and checks the database
"""
