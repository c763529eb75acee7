"""Finds the addresses at ModelScope of files at the Hub, for the mirror `modelscope`, when they are requested."""

from functools import partial

from flowhub_jobs.modelscope.repository_files import CONNECTIONS_MAX, RepositoryFiles, repository_and_path
from flowhub_jobs.settings import Settings
from flowhub_jobs.transfer.mirror_choice import Address, Finder
from flowhub_jobs.values.mirror_settings import MODELSCOPE


def modelscope_finder(settings: Settings) -> Finder:
    """Return the finder of one transfer: it requests the list of each repository once, when it is first needed."""
    files = RepositoryFiles(settings.modelscope_endpoint, settings.connect_timeout_s)

    def find(hub_path: str, sha256: str) -> Address | None:
        if (location := repository_and_path(hub_path)) is None:
            return None
        # The site redirects to hosts of its own for the bytes; neither gets a token.
        return Address(
            settings.modelscope_endpoint,
            MODELSCOPE,
            find_url=partial(files.url_of, *location, sha256),
            may_redirect=True,
            connections_max=CONNECTIONS_MAX,
        )

    return find
