"""Sentences about the recoveries in the report: the faults that needed no help. Pure."""

from flowhub_jobs.jobs.report_recoveries import Recovered

_TEXTS = {  # one of it, several of it
    "rescue": ("A worker died; another one continued its job", "{} times a worker died; another resumed its job"),
    "retry": ("A fault of the network or a host passed", "{} faults of the network or a host passed"),
    "host_busy": ("A busy or failing host answered later", "{} times a busy or failing host answered later"),
    "wrong_range": (
        "A range came wrong and was requested again",
        "{} ranges came wrong and were requested again",
    ),
    "asked_anew": ("A file was requested at a new address", "{} times a file was requested at a new address"),
    "piece_again": ("A damaged piece was downloaded again", "{} damaged pieces were downloaded again"),
    "file_again": (
        "A file with a wrong digest was downloaded again",
        "{} files with wrong digests were downloaded again",
    ),
    "offline": ("A job waited for the network", "{} times a job waited for the network"),
    "parked": ("A job waited for the disk", "{} jobs waited for the disk"),
}


def recovered_sentence(recovery: Recovered) -> str:
    """Return e.g. "3 faults of the network or a host passed", without a full stop."""
    single, several = _TEXTS[recovery.kind]
    return single if recovery.count == 1 else several.format(recovery.count)
