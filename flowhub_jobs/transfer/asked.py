"""Where an address is asked: at HF_ENDPOINT, if it is the Hub's. Pure."""

from flowhub_jobs.addresses import at_endpoint, check_address, origin


def origin_asked(url: str, endpoint: str) -> str:
    """Return the origin at which a file's address is asked."""
    return origin(at_endpoint(url, endpoint))


def check_source(url: str, endpoint: str, *, pinned: bool) -> None:
    """Raise AddressRefused where a file may not be asked: by its own address, or where HF_ENDPOINT sends it."""
    check_address(url, pinned=pinned)
    check_address(at_endpoint(url, endpoint), pinned=pinned)
