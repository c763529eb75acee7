"""doctor: checks everything that downloads rely on."""

from typing import Annotated

import typer

from flowhub_jobs.cli import output
from flowhub_jobs.cli.options import AsJson
from flowhub_jobs.operations.doctor.check import Check, Status
from flowhub_jobs.operations.doctor.run import run_checks
from flowhub_jobs.operations.schemas.doctor import doctor_json

_COLOURS = {Status.WARN: "33", Status.FAIL: "1;31"}
_NAME, _STATUS = 22, 6  # columns


def doctor(
    online: Annotated[
        bool, typer.Option("--online", help="Also check the Hub, the token, and the download hosts.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check settings, disk, database, network and workers.

    Exit status 0 if no check fails, else 1. Nothing is changed, and without --online nothing is sent.
    """
    checks = []
    for check in run_checks(online=online):
        checks.append(check)
        if not output.chosen.json:
            _print(check)
    if output.chosen.json:
        output.result_json(doctor_json(checks))
    else:
        output.hint(f"\n{_summary(checks)}")
    if any(check.status is Status.FAIL for check in checks):
        raise typer.Exit(1)


def _print(check: Check) -> None:
    status = f"{check.status:<{_STATUS - 2}}"
    painted = output.paint(status, _COLOURS[check.status]) if check.status in _COLOURS else output.dim(status)
    indent = " " * (_STATUS + _NAME)
    name = f"{check.name:<{_NAME - 2}}  "
    text = output.fold(output.clean(check.message), indent, indent).strip()
    output.print_raw(f"{painted}  {name}{text}")
    if check.hint:
        output.print_raw(output.fold(output.clean(check.hint), indent, indent))


def _summary(checks: list[Check]) -> str:
    counts = {status: sum(check.status is status for check in checks) for status in Status}
    if counts[Status.FAIL]:
        return f"{counts[Status.FAIL]} of {len(checks)} checks failed."
    if counts[Status.WARN]:
        verb = "has" if counts[Status.WARN] == 1 else "have"
        return f"No check failed; {counts[Status.WARN]} of {len(checks)} {verb} a warning."
    return f"All {len(checks) - counts[Status.SKIP]} checks passed."
