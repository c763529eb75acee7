"""The command line: parses a verb's arguments, calls the operations, and prints the result.

app               the table of verbs
jobs/, search/, library/, worker/   the verbs by subject: a module for each verb, `*_view` for its screen
help/, completion/, web, mcp        the other verbs

entry             the console script ─► main
main              runs a verb, and turns errors into output and an exit status · signals: Ctrl-C and SIGTERM
session           an open session for a verb, and the jobs that it applies to
options           options that several verbs share
refuse_empty_options  refuses an empty value of an option, and a missing one
prompts           questions on the terminal before a change

output            prints results, hints and progress · error_output: prints errors
text_width        the width of text in a terminal's cells
lazy_command_group  the list of verbs in `flowhub --help`; imports a verb when it is called
usage_errors      converts Typer's usage errors · foreign_commands: answers commands of other tools
"""
