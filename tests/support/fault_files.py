"""Files for the tests of faults: a model of four pieces and a bit, similar ones, and functions to serve it."""

from flowhub_jobs.values.artifacts import Artifact
from support.fault_base import Fault
from support.models import gguf_pattern
from support.origin import Origin
from support.run_fetch import pinned_artifact, unpinned_artifact

MIB = 1 << 20
MODEL = gguf_pattern(4 * MIB + 12345, seed=1)
OTHER = gguf_pattern(MODEL.size, seed=2)
SHORTER = gguf_pattern(3 * MIB, seed=3)
HALF = 2 * MIB + 500_000  # where a fetch is interrupted: inside the third piece


def serve_model(origin: Origin, pin: bool, *faults: Fault) -> Artifact:
    """Serve the model at `/m.gguf`, and return its artifact."""
    url = origin.serve("m.gguf", MODEL, faults=faults)
    return pinned_artifact(url, MODEL) if pin else unpinned_artifact(url)


def host_of(origin: Origin) -> str:
    """Return the origin's host as messages name it."""
    return f"127.0.0.1:{origin.port}"
