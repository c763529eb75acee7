"""Profile of another machine: the output of `flowhub device --json`, read from a file."""

import json
from pathlib import Path
from typing import Any

from flowhub_jobs.device.device_values import Device
from flowhub_jobs.device.gpu import Gpu
from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.fs.safe_read import read_regular

MAX_BYTES = 2**20
MAX_GPUS = 256
HOW = "On the other machine: `flowhub device --json > FILE`."

_TEXTS = ("hostname", "platform", "architecture", "cpu", "ram_source")
_BYTES = ("ram_total_bytes", "ram_available_bytes", "disk_total_bytes", "disk_free_bytes", "metal_bytes")
_MOST = 2**63


def read_profile(path: Path) -> Device:
    """Return the machine that a file describes: the whole output of `flowhub device --json`, or its `device` alone.

    A missing or null field is unknown; a field with an unknown name is ignored. Raises UsageInvalid, with the field's
    name, for a value of the wrong kind, and for a file that cannot be read or is no profile.
    """
    page = _page(path)
    schema, machine = page.get("schema"), page.get("device", page)
    if schema not in (None, "flowhub/device/1") or not isinstance(machine, dict):
        raise UsageInvalid(f"{path} is not the profile of a machine: its schema is {str(schema)[:80]!r}.", hint=HOW)
    if not {*_TEXTS, *_BYTES, "gpus"} & machine.keys():
        raise UsageInvalid(f"{path} does not describe a machine.", hint=HOW)
    return _device(_Fields(path, "", machine))


def _page(path: Path) -> dict[str, Any]:
    try:
        raw = read_regular(path, MAX_BYTES)
    except OSError as error:
        raise UsageInvalid(f"The profile {path} cannot be read: {error.strerror}.", hint=HOW) from error
    try:
        page = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise UsageInvalid(f"{path} is not the profile of a machine: it is not JSON.", hint=HOW) from error
    if not isinstance(page, dict):
        raise UsageInvalid(f"{path} is not the profile of a machine: it is not a JSON object.", hint=HOW)
    return page


def _device(fields: "_Fields") -> Device:
    values: dict[str, Any] = {name: fields.text(name) for name in _TEXTS}
    values |= {name: fields.count(name) for name in _BYTES}
    return Device(
        **values,
        cores=fields.count("cores"),
        unified_memory=fields.flag("unified_memory"),
        gpus=tuple(_gpu(gpu) for gpu in fields.objects("gpus")),
    )


def _gpu(fields: "_Fields") -> Gpu:
    return Gpu(
        name=fields.text("name"),
        vendor=fields.text("vendor"),
        vram_total_bytes=fields.count("vram_total_bytes"),
        vram_free_bytes=fields.count("vram_free_bytes"),
        source=fields.text("source"),
    )


class _Fields:
    """One object of the file, read field by field; each error names the file and the field."""

    def __init__(self, path: Path, where: str, values: dict[str, Any]) -> None:
        self.path, self.where, self.values = path, where, values

    def text(self, name: str) -> str | None:
        value = self.values.get(name)
        if value is not None and not isinstance(value, str):
            raise self._invalid(name, "a string")
        return value[:200] if value else None

    def count(self, name: str) -> int | None:
        value = self.values.get(name)
        if value is not None and (type(value) is not int or not 0 <= value < _MOST):
            raise self._invalid(name, "a whole number, not below 0")
        return value

    def flag(self, name: str) -> bool:
        value = self.values.get(name)
        if value is not None and not isinstance(value, bool):
            raise self._invalid(name, "true or false")
        return bool(value)

    def objects(self, name: str) -> "list[_Fields]":
        values = self.values.get(name) or []
        if (
            not isinstance(values, list)
            or len(values) > MAX_GPUS
            or not all(isinstance(value, dict) for value in values)
        ):
            raise self._invalid(name, "a list of objects")
        return [_Fields(self.path, f"{name}[{place}].", value) for place, value in enumerate(values)]

    def _invalid(self, name: str, expected: str) -> UsageInvalid:
        value = json.dumps(self.values[name])[:60]
        return UsageInvalid(f"{self.path}: `{self.where}{name}` must be {expected}; it is {value}.", hint=HOW)
