"""Parser of job numbers and ranges: `12 128-130`."""

import re
from collections.abc import Sequence

from flowhub_jobs.errors import UsageInvalid

RANGE_MAX = 30_000  # a range of more is a typing error
_NUMBERS = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18}))?")


def job_numbers(typed: Sequence[str]) -> list[int]:
    """Return the numbers of `12 128-130`, each once, in order. Raises UsageInvalid."""
    numbers: dict[int, None] = {}
    for text in typed:
        match = _NUMBERS.fullmatch(text)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last:
            raise UsageInvalid(
                f"{text[:40]!r} is not a job's number, nor a range of them.", hint="Write 12, or 128-130."
            )
        if last >= first + RANGE_MAX - len(numbers):
            raise UsageInvalid(f"{text} is too many jobs: {RANGE_MAX:,} may be named.", hint="--all means every job.")
        numbers |= dict.fromkeys(range(first, last + 1))
    return list(numbers)
