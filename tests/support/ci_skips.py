"""Turns a skip for want of a tool into a failure where CI=true: a green CI must not hide it.

The reason of a skip for want of a tool begins with "needs ". Other skips, such as a macOS test on Linux, remain skips.
"""

import os
from collections.abc import Generator

import pytest

MISSING_TOOL = "CI must not skip this test: it {reason}. Let .ci/run install it."


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    refuse_skip(report)
    return report


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a report of a skip for want of a tool into one of a failure."""
    if os.environ.get("CI") != "true" or not report.skipped or not isinstance(report.longrepr, tuple):
        return
    reason = str(report.longrepr[2]).removeprefix("Skipped: ")
    if reason.startswith("needs "):
        report.outcome = "failed"
        report.longrepr = MISSING_TOOL.format(reason=reason)
