"""The remedy for a failed or waiting job, with its command. Pure.

"Try again" is no remedy for a gated model or a wrong digest: the same answer would come again.
"""

import re
from collections.abc import Mapping
from typing import Any

from flowhub_jobs.errors.hint_placeholders import for_jobs, names_command
from flowhub_jobs.values.enums import JobKind, Reason

NO_WORKER = "No worker is running; start one with `flowhub worker`."
HUB_PAGE = "https://huggingface.co/"
_HUB_REF = re.compile(r"hf:(?://(?:models/)?)?([\w.-]+/[\w.-]+)")


def what_to_do(job: int, ref: str, model: str | None, error: Mapping[str, Any], kind: JobKind = JobKind.FETCH) -> str:
    """Return the remedy for a failed job: a sentence or two with the command that helps.

    `model` is the id of the catalog's model; None for a reference to a repository or an address.
    """
    return for_jobs(remedy(ref, model, error, kind), str(job), [ref])


def remedy(ref: str, model: str | None, error: Mapping[str, Any], kind: JobKind = JobKind.FETCH) -> str:
    """Return the same with placeholders (errors/hint_placeholders.py), so that one text serves several jobs."""
    code = error["code"]
    if kind is JobKind.VERIFY and code in ("digest_mismatch", "size_mismatch"):
        return f"`flowhub verify --repair {ref}` downloads the damaged part again."
    if kind is not JobKind.FETCH:  # it reads or copies local files: no catalog and no source is at fault
        return _with_command(error["hint"])
    if code == "gated":
        page = hub_page_of(ref) or "the model's page"
        return f"Accept the terms on {page} and set HF_TOKEN for the worker; then {{enqueue}}."
    if code == "digest_mismatch":
        return _for_digest(ref, model)
    if code == "size_mismatch" and model:
        return "The catalog is out of date: `flowhub catalog update`, then {enqueue}."
    if code == "source_missing" and model:
        return f"`flowhub show {model}` lists its other variants."
    return _with_command(error["hint"])


def hub_page_of(ref: str) -> str | None:
    """Return the address of a repository's page on the Hub; None for another reference."""
    match = _HUB_REF.match(ref)
    return HUB_PAGE + match[1] if match else None


def _for_digest(ref: str, model: str | None) -> str:
    if model:
        return "The catalog's digest may be out of date: `flowhub catalog update`, then {enqueue}."
    if ref.startswith(("http://", "https://")):
        return "Check the digest: `flowhub enqueue URL --sha256 HEX` with the right one."
    return "The source sends other bytes than it announces. {Enqueue} when it is repaired."


def _with_command(hint: str | None) -> str:
    """Return an error's own hint, and never one without a command."""
    if not hint:
        return "{retry}"
    return hint if names_command(for_jobs(hint, "", [])) else f"{hint} Then {{retry}}."


def disk_wait_remedy(reason: Reason) -> tuple[str, str, str]:
    """Return code, message and remedy of a job that waits for the disk or the store."""
    if reason is Reason.DISK:
        remedy = "Free some space (`flowhub du`, `flowhub prune`, `flowhub rm`); {continues}."
        return "disk_full", "The store's disk has not enough free space.", remedy
    return "store_offline", "The store's disk is not mounted.", "Mount it; {continues}."
