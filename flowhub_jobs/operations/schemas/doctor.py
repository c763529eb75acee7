"""The checks of `flowhub doctor` as JSON: `flowhub/doctor/1`."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flowhub_jobs.operations.schemas.plain_json import fields_json

if TYPE_CHECKING:
    from flowhub_jobs.operations.doctor.check import Check


def doctor_json(checks: "Iterable[Check]") -> dict[str, Any]:
    names = ("name", "status", "message", "hint")
    return {"schema": "flowhub/doctor/1", "checks": [fields_json(check, names) for check in checks]}
