"""The command line: parses a verb's arguments, calls the operations, and prints the result.

entry, main      the process: signals, streams, errors and exit statuses
app              the table of verbs
jobs, search, library, worker, web, help, completion
                 a module for each verb, and `*_view` for what it prints
session          an open home for a verb, and errors of several jobs as one
output           printing: the result, hints, JSON, tables
options, prompts shared options; questions before a change
foreign_commands, usage_errors
                 errors of a mistyped command line
"""
