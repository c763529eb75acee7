"""The meaning of every setting, and its value in words. Units: seconds, bytes, bytes a second."""

import re
from typing import Any

from flowhub_jobs.units import format_bytes, format_duration, format_rate

TEXTS = {
    "home": "The folder of the databases, the lock files and config.toml; on a local disk.",
    "store": "The folder of the models; may be on a network disk. A relative path starts at the current folder.",
    "database_url": "The database of jobs and installed models: sqlite:///PATH, or postgresql://…",
    "database_listen": "Wake workers by PostgreSQL's LISTEN; set false behind a pooler in transaction mode.",
    "catalog": "The catalog of models: a file or a URL. Without it, the one that flowhub ships.",
    "node": "The name of this machine. Without it, one that was made once and is kept in the home.",
    "jobs": "Jobs that a worker runs at a time.",
    "queue_order": "Which queued job of the highest priority starts first: oldest_first, smallest_first (fewest bytes; "
    "unknown sizes last), or nearly_done (of those with kept bytes the one with the fewest left; then the oldest).",
    "limit_rate": "Maximum download rate of all jobs together, in bytes per second.",
    "disk_reserve": "Bytes of the store's disk that stay free, but at most a twentieth of the disk.",
    "store_max": "The most bytes of the store, partials included: 2T, 500G, off. Jobs that would exceed it wait.",
    "stores": "More stores by name, each a path or {path, reserve, max}; see docs/stores.md.",
    "connect_timeout_s": "The longest wait for a connection.",
    "headers_timeout_s": "The longest wait for the first bytes of a response.",
    "stall_timeout_s": "Close and replace a connection that sends no data for this long.",
    "slow_bps": "Close and replace a connection that stays below this rate for slow_window_s.",
    "slow_window_s": "How long a connection may stay below slow_bps.",
    "backoff_base_s": "The wait before the second try; it doubles with every failure.",
    "backoff_cap_s": "The longest wait between two tries.",
    "faults_max": "Failures in a row, without a new byte, before a job may fail.",
    "give_up_after": "How long a job tries again without a new byte before it fails.",
    "retry_after_max_s": "The longest wait that a host may ask for (Retry-After).",
    "connections_per_host": "The most connections to one host, for all jobs of a worker.",
    "direct_io": "Write past the system's cache where the disk supports it.",
    "look_again_s": "How often a worker checks for room on the disk, or for a store that is offline.",
    "look_elsewhere": "Before a download, look for the same bytes in the folders of other programs.",
    "check": "Ask for the first bytes of each file before a job is queued.",
    "place": "Programs to place each model in after `enqueue` has installed it: hf-cache, lm-studio, …",
    "apps": "The folders of programs for `place`, where they are not the programs' usual ones.",
    "keep_events_days": "Days that the events of ended jobs are kept; the jobs themselves stay.",
    "share_readers": "Maximum number of nodes that download from this node's share at once.",
    "log_format": "The form of the worker's log: plain, or json (one object a line).",
    "notify": "A program or webhook that receives failures; see Notifications in docs/reference.md.",
    "hf_token": "The token for the Hugging Face Hub.",
    "hf_endpoint": "The URL of the Hugging Face Hub, or of a mirror of its API.",
    "tokens": "Tokens of other origins, by origin.",
    "modelscope_endpoint": "The URL of ModelScope, for the mirror `modelscope`.",
    "mirrors": "Other URLs of files whose sha256 is known, by URL prefix, in order; see Mirrors.",
}
_PASSWORD = re.compile(r"(://[^:/@]*:|[?&]password=)[^@&]*(?=@|&|$)")
_OF_THE_FILE = ("tokens", "mirrors", "notify", "apps", "stores")


def variable(name: str) -> str:
    """Return where a setting is set: its variable, or its table of config.toml."""
    if name in _OF_THE_FILE:
        return f"[{name}] in config.toml"
    return name.upper() if name.startswith("hf_") else f"FLOWHUB_{name.upper()}"


def in_words(name: str, value: Any) -> str:
    """Return a value as it could be typed, with its meaning in parentheses."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "on" if value else "off"
    if name.endswith("_s") and isinstance(value, int | float):
        return f"{value:g} s ({format_duration(value)})" if value >= 60 else f"{value:g} s"
    if name.endswith("_bps") or name == "limit_rate":
        return f"{value} ({format_rate(value)})"
    if name == "database_url":
        return _PASSWORD.sub(r"\1…", value)
    if name in ("disk_reserve", "store_max"):
        return f"{value} ({format_bytes(value)})"
    return str(value)
