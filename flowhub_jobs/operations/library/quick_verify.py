"""Results of verifying installed models, and the check of sizes and times that reads no file."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flowhub_jobs.errors import DigestMismatch, FlowhubError
from flowhub_jobs.store.verification_records import InstalledArtifact


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """Result of the check of one model: `state` is ok, unchanged, changed, damaged, repaired or unknown.

    `damage` is the stored list of damaged parts, `bytes_fetched` what a repair downloaded, `job` the job of the check.
    """

    model: InstalledArtifact
    state: str
    error: FlowhubError | None = None
    job: int | None = None
    damage: Any = None
    bytes_fetched: int = 0


def compare_stamps(models: Sequence[InstalledArtifact]) -> list[VerifyResult]:
    """Compare the sizes and times of the files with those at installation."""
    return [_compare_stamps_of(model) for model in models]


def _compare_stamps_of(model: InstalledArtifact) -> VerifyResult:
    changed = next((file for file in model.files if not file.unchanged), None)
    if changed is None:
        return VerifyResult(model, "unchanged")
    differs = "has another size or time than it was installed with" if changed.store_path.exists() else "is missing"
    hint = f"`flowhub verify {model.name}` reads it and shows what differs."
    return VerifyResult(model, "changed", DigestMismatch(f"{changed.store_path} {differs}.", hint=hint))
