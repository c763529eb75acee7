"""Shared state of one web server: the open home, the sign-in, and the calls of the application layer."""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Any

from flowhub_jobs.errors import HomeUnusable
from flowhub_jobs.operations.nodes import home_for_node
from flowhub_jobs.operations.open_home import Home, describe_machine, opened
from flowhub_jobs.operations.session import Session
from flowhub_jobs.web.live import LiveChanges
from flowhub_jobs.web.share_admission import NodeAuthenticator, ReaderLimiter
from flowhub_jobs.web.share_index import ShareIndex
from flowhub_jobs.web.sign_in import SignIn
from flowhub_jobs.web.speed_samples import RateHistory

if TYPE_CHECKING:
    from flowhub_jobs.operations.result_types import Device

Manual = Callable[[], Mapping[str, Any]]
DEVICE_S = 20.0  # for how long the machine's description is kept: a GPU's driver takes a while to answer


class WebContext:
    """Thread-safe. `share` is whether installed models are served to other machines."""

    def __init__(self, home: Home, sign_in: SignIn, *, share: bool, manual: Manual = dict) -> None:
        """`manual` returns `flowhub/help/1`, whose texts the OpenAPI document has."""
        self.home, self.sign_in, self.share, self.manual = home, sign_in, share, manual
        self._reopened = ExitStack()  # holds the homes that were opened in place of the first
        self._reopening = threading.Lock()
        self.rates = RateHistory()
        self.shared = ShareIndex()
        self.node_authenticator, self.readers = (
            NodeAuthenticator(lambda: self.home),
            ReaderLimiter(home.settings.share_readers),
        )
        self._device: tuple[float, Device] | None = None

    @cached_property
    def live(self) -> LiveChanges:
        return LiveChanges(self.session, self.reopen)

    def session(self, of_node: str | None = None) -> Session:
        """Return a session for one request, which reads the catalog again where it has changed.

        `of_node` names the node whose jobs it reads, or `all`. Raises NotFound for a node that is not registered.
        """
        session = Session(home_for_node(self.home, of_node))
        session.use_device(self.device)
        return session

    def device(self) -> "Device":
        """Return this machine's description, a few seconds old at most."""
        cached = self._device
        if cached is None or time.monotonic() - cached[0] > DEVICE_S:
            cached = self._device = time.monotonic(), describe_machine(self.home)
        return cached[1]

    def forget_device(self) -> None:
        """Have the next session read this machine's description again."""
        self._device = None

    def reopen(self, replaced: Home) -> None:
        """Open the home again, whose database file was replaced, such as by a backup. Raises HomeUnusable.

        A request that still reads the replaced one fails by itself.
        """
        with self._reopening:
            if self.home is not replaced:  # another request has done it
                return
            settings = replaced.settings
            if not settings.home.is_dir():
                raise HomeUnusable(f"The home folder {settings.home} was removed while the server ran.")
            home = self._reopened.enter_context(opened(settings))
            home.database.watch_file()
            self.home = home

    def close(self) -> None:
        self._reopened.close()
