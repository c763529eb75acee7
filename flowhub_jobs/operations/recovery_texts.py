"""Sentences about the recoveries in the report: the faults that needed no help. Pure."""

from flowhub_jobs.jobs.report_recoveries import Recovered

_TEXTS = {  # one of it, several of it
    "rescue": ("A worker died; another one continued its job", "{} times a worker died; its job continued"),
    "retry": ("A fault of the network or a host passed", "{} faults of the network or a host passed"),
    "host_busy": ("A busy or failing host answered later", "{} times a busy or failing host answered later"),
    "wrong_range": (
        "A wrong range was refused and asked again",
        "{} wrong ranges were refused and asked again",
    ),
    "asked_anew": ("A file was requested at a new address", "{} times a file was requested at a new address"),
    "piece_again": ("A damaged piece was downloaded again", "{} damaged pieces were downloaded again"),
    "file_again": (
        "A file with a wrong digest came again",
        "{} files with a wrong digest came again",
    ),
    "offline": ("The network was away for a while", "{} times a job was handed back: no network"),
    "parked": ("A job waited for the disk", "{} jobs waited for the disk"),
}


def recovered_sentence(recovery: Recovered) -> str:
    """Return e.g. "3 faults of the network or a host passed", without a full stop."""
    single, several = _TEXTS[recovery.kind]
    return single if recovery.count == 1 else several.format(recovery.count)
