"""Enumerations whose values are stored and shown: states, stages, reasons, kinds of events, formats."""

from enum import StrEnum


class HubFormat(StrEnum):
    GGUF = "gguf"
    MLX = "mlx"
    SAFETENSORS = "safetensors"


class RepoKind(StrEnum):
    """The kinds of the Hub's repositories that flowhub fetches."""

    MODEL = "model"
    DATASET = "dataset"


class Offload(StrEnum):
    FULL = "full"
    PARTIAL = "partial"
    NONE = "none"


class State(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


LIVE_STATES = (State.RUNNING, State.QUEUED, State.PAUSED)  # of a job that has not ended


class Stage(StrEnum):
    RESOLVE = "resolve"
    DOWNLOAD = "download"
    VERIFY = "verify"
    INSTALL = "install"


class Reason(StrEnum):
    """Why a queued job may not start, in the order in which they are shown where several hold."""

    AT = "at"
    WINDOW = "window"
    CAP = "cap"
    AFTER = "after"
    STORE_OFFLINE = "store_offline"
    DISK = "disk"
    NETWORK = "network"
    HOST_WAIT = "host_wait"
    BACKOFF = "backoff"
    SLOTS = "slots"


class Period(StrEnum):
    """What a cap counts over, by the local calendar."""

    DAY = "day"
    MONTH = "month"


class QueueOrder(StrEnum):
    """The order in which queued jobs of one priority start."""

    OLDEST_FIRST = "oldest_first"
    SMALLEST_FIRST = "smallest_first"  # fewest bytes in total; unknown sizes last
    NEARLY_DONE = "nearly_done"  # those that have kept bytes, fewest bytes left first; then the oldest


class DigestState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    VERIFIED = "verified"
    UNPINNED = "unpinned"
    MISMATCH = "mismatch"


class JobKind(StrEnum):
    """Kind of a job. All but `fetch` work on files on this machine, or on a disk that it mounts."""

    FETCH = "fetch"
    VERIFY = "verify"
    EXPORT = "export"
    IMPORT = "import"
    MOVE = "move"


class RequestedAction(StrEnum):
    """What the user wants of a running job. The row keeps it, and the job's worker carries it out."""

    PAUSE = "pause"
    CANCEL = "cancel"
    PURGE = "purge"  # cancel, and delete the partial


class StopReason(StrEnum):
    """Why a run stops before its end."""

    WORKER_STOPS = "worker_stops"  # a signal, `--until`, or a lost database
    WINDOW_CLOSED = "window_closed"  # the schedule's
    CAP_REACHED = "cap_reached"
    REQUESTED = "requested"  # the user: the row says what (RequestedAction)
    LEASE_LOST = "lease_lost"  # another worker may own the job; this run writes nothing more


class EventKind(StrEnum):
    """The kinds of the events that a job's history keeps. A row of a newer version may have another kind."""

    QUEUED = "queued"
    UPDATE = "update"  # a subscription found the version, and queued it
    INSTALLED = "installed"  # nothing had to be fetched when it was queued
    CLAIMED = "claimed"
    WAITS = "waits"
    HANDED_BACK = "handed_back"  # the worker stopped, the window closed, or the machine is offline
    FAULT = "fault"  # a source failed; it is tried again after a pause
    AGAIN = "again"  # a source is asked again without a pause: in another form, or at a new address
    PIECE_AGAIN = "piece_again"  # bytes on the disk were not the received ones
    FILE_AGAIN = "file_again"  # a file's bytes did not match its digest or its header
    MIRROR = "mirror"  # a mirror was passed over, is used in addition, or sent wrong bytes
    NO_RESUME = "no_resume"
    CONNECTION = "connection"  # a slow connection was replaced, or fewer are used
    LINKED = "linked"
    PLACED = "placed"  # in the folder of another program
    PLACEMENT_FAILED = "placement_failed"
    PLACEMENT_WAITS = "placement_waits"  # its folder or disk cannot be used now; it is tried again
    NAMESAKE = "namesake"
    NEEDS_YOU = "needs_you"
    RESCUED = "rescued"
    PAUSED = "paused"
    RESUMED = "resumed"
    STARTED = "started"
    RETRIED = "retried"
    PRIORITY = "priority"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Fit(StrEnum):
    FITS = "fits"
    TIGHT = "tight"
    SLOW = "slow"  # part of it is in memory that is not the graphics processor's
    TOO_BIG = "too big"
    WRONG_PLATFORM = "wrong platform"
    UNKNOWN = "unknown"


FITS_WELL = (Fit.FITS, Fit.TIGHT)
RUNNABLE = (*FITS_WELL, Fit.SLOW)
NOT_EXCLUDED = (*RUNNABLE, Fit.UNKNOWN)  # an unknown fit is better only than a known misfit


class Condition(StrEnum):
    """Condition of an installed model, by its files' sizes and times, and by the last `verify`."""

    GOOD = "ok"
    CHANGED = "changed"  # another size or time than it was installed with
    DAMAGED = "damaged"  # its bytes are not what its digest says
    BY_HAND = "by hand"  # not installed by flowhub
    OFFLINE = "offline"  # the store's disk is not there


# How catalogs name the platforms of `hardware.platforms`: Python's, Rust's and people's words.
_PLATFORM_WORDS = {
    "linux": "linux gnu/linux",
    "macos": "macos mac osx macosx darwin",
    "windows": "windows win win32 win64",
}
PLATFORMS = {word: platform for platform, words in _PLATFORM_WORDS.items() for word in words.split()}


def platform_of(name: str) -> str:
    """Return linux, macos or windows; any other word in lower case."""
    folded = "".join(name.lower().split())
    return PLATFORMS.get(folded, folded)
