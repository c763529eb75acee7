"""Opens a home for a user interface; reads the description of the machine, and the token of the nodes."""

from flowhub_jobs.device.device_values import Device
from flowhub_jobs.home import Home as Home
from flowhub_jobs.home import opened as opened
from flowhub_jobs.settings import Settings as Settings
from flowhub_jobs.settings import load_settings as load_settings


def describe_machine(home: Home) -> Device:
    """Return this machine and the disk of the store; a GPU's driver may take a second to answer."""
    from flowhub_jobs.device.probe import probe  # only where it is needed

    return probe(home.store.root)


def fleet_token(home: Home) -> str:
    """Return the token by which the nodes of this database read each other's shares. It is never shown."""
    from flowhub_jobs.jobs.node_shares import NodeShares  # with SQLAlchemy

    return NodeShares(home.engine, home.node, home.clock).token()
