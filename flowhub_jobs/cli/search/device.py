"""device: shows memory, GPUs and disk of this machine."""

from flowhub_jobs.cli import output
from flowhub_jobs.cli.options import AsJson
from flowhub_jobs.cli.search import device_view
from flowhub_jobs.cli.session import open_session
from flowhub_jobs.operations.schemas.search import device_json


def device(as_json: AsJson = False) -> None:
    """Show this machine: memory, GPUs, disk.

    Each figure names its source.
    """
    with open_session() as session:
        machine, store = session.device, session.store.root
    if output.chosen.json:
        output.result_json(device_json(machine))
    else:
        device_view.print_device(machine, store)
