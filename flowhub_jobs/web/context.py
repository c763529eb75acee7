"""Shared state of one web server: the open home, its sign-in, and the way to the application layer."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flowhub_jobs.home import Home
from flowhub_jobs.operations.session import Session
from flowhub_jobs.web.rates import RateHistory
from flowhub_jobs.web.sign_in import SignIn

if TYPE_CHECKING:
    from flowhub_jobs.device.description import Device


@dataclass(slots=True)
class WebContext:
    """Thread-safe. `share` is whether installed models are served to other machines."""

    home: Home
    sign_in: SignIn
    share: bool = False
    rates: RateHistory = field(default_factory=RateHistory, repr=False)
    _device: "Device | None" = field(default=None, repr=False)

    def session(self) -> Session:
        """Return a session for one request: it reads the catalog again, and looks at the machine once a process."""
        session = Session(self.home)
        session.use_device(self._device)
        return session

    def remember_device(self, session: Session) -> "Device":
        """Return the machine as the session sees it, kept for the sessions to come."""
        self._device = session.device
        return self._device
