"""A list file that is followed: its lines, each parsed as `enqueue -f` parses it."""

from flowhub_jobs.cli.app import command
from flowhub_jobs.cli.jobs.list_file import parse_line, read_lines
from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.operations.subscriptions.check_list_file import FollowedLine


def read_followed_list(path: str) -> list[FollowedLine]:
    """Return the lines with a reference; a bad one has its error. Raises UsageInvalid for a file that is unreadable."""
    return [_parsed(number, text) for number, text in read_lines(path)]


def _parsed(number: int, text: str) -> FollowedLine:
    try:
        line = parse_line(number, text, command().commands["enqueue"])
    except FlowhubError as error:
        return FollowedLine(number, text, error=error)
    return FollowedLine(number, line.ref, line.options)
