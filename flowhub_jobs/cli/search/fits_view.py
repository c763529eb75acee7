"""The screen of `fits`: the verdict on each variant, and the next step."""

from collections.abc import Sequence

from flowhub_jobs.cli import output
from flowhub_jobs.device.device_values import Device
from flowhub_jobs.operations.search.model_needs import Variant
from flowhub_jobs.units import format_bytes
from flowhub_jobs.values.enums import RUNNABLE


def print_fits(variants: Sequence[Variant], machine: Device, profile: str | None) -> None:
    """Print each variant's verdict, and the next step."""
    if profile:
        output.hint(output.fold(f"On {machine.hostname or 'the machine'} of {profile}:"))
    rows = [
        (
            variant.artifact.ref if variant.artifact.option is None else variant.artifact.option,
            "unknown" if variant.artifact.size is None else format_bytes(variant.artifact.size),
            str(variant.verdict.fit),
            variant.verdict.why,
        )
        for variant in variants
    ]
    if len(rows) == 1:
        output.result(output.fold(f"{variants[0].artifact.ref}: {rows[0][2]}: {rows[0][3]}.", after="  "))
    else:
        output.result(output.folded_table(("OPTION", "SIZE", "HERE", "WHY"), rows, right=(1,)))
    for note in dict.fromkeys(variant.note for variant in variants if variant.note):
        output.hint(output.fold(f"{note[:1].upper()}{note[1:]}.", after="  "))
    if not profile:
        _print_next(variants)


def _print_next(variants: Sequence[Variant]) -> None:
    runs = [variant for variant in variants if variant.verdict.fit in RUNNABLE]
    model = variants[0].artifact.model
    if len(variants) > 1 and runs and model:
        output.hint(f"\n`flowhub enqueue {model} --best-fit` queues the best of them.")
