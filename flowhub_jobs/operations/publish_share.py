"""Publishes to the other nodes of the database where this one shares its store, and rotates their token."""

import contextlib
import logging
import platform
import threading

from sqlalchemy.exc import SQLAlchemyError

from flowhub_jobs.home import Home
from flowhub_jobs.jobs.node_shares import NodeShares
from flowhub_jobs.net.redaction import driver_message

log = logging.getLogger("flowhub.web")
REPUBLISH_S = 10.0


def publish_share(home: Home, url: str) -> None:
    """Record the address. If the database does not answer, the other nodes miss this copy, and no more."""
    try:
        _shares(home).publish(url, platform.node(), str(home.store.root))
    except SQLAlchemyError as error:
        log.warning("The address of the share could not be published: %s", driver_message(error))


def keep_published(home: Home, url: str, stopped: threading.Event) -> None:
    """Record the address again where it is missing, until `stopped` is set: the node may be removed and come back."""
    while not stopped.wait(REPUBLISH_S):
        with contextlib.suppress(SQLAlchemyError):
            _shares(home).publish_again(url)


def withdraw_share(home: Home, url: str) -> None:
    """Remove the address again. After a crash it stays, and other nodes pass it over."""
    try:
        _shares(home).withdraw(url)
    except SQLAlchemyError as error:
        log.warning("The address of the share could not be withdrawn: %s", driver_message(error))


def rotate_fleet_token(home: Home) -> None:
    """Replace the token by which the nodes of the database read each other's shares."""
    _shares(home).rotate_token()


def _shares(home: Home) -> NodeShares:
    return NodeShares(home.engine, home.node, home.clock)
