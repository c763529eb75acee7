"""Makes the options of a transfer from the settings, which `transfer` does not know."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from flowhub_jobs.settings import Settings
from flowhub_jobs.transfer.mirror_choice import Address, Finder, Mirrors
from flowhub_jobs.transfer.options import TransferOptions
from flowhub_jobs.transfer.retry import Patience
from flowhub_jobs.values.mirror_settings import MODELSCOPE
from flowhub_jobs.worker.modelscope_mirror import modelscope_finder


def transfer_options(
    settings: Settings,
    refused: frozenset[str] = frozenset(),
    copies: Mapping[str, Sequence[Address]] = MappingProxyType({}),
) -> TransferOptions:
    """Return the options. `refused`: the mirrors that are not asked now; `copies`: other nodes' copies by sha256."""
    patience = Patience(
        base_s=settings.backoff_base_s,
        delay_max_s=settings.backoff_cap_s,
        faults_max=settings.faults_max,
        give_up_after_s=settings.give_up_after,
        server_wait_max_s=settings.retry_after_max_s,
    )
    return TransferOptions(
        connect_s=settings.connect_timeout_s,
        headers_s=settings.headers_timeout_s,
        stall_s=settings.stall_timeout_s,
        slow_bps=settings.slow_bps,
        slow_window_s=settings.slow_window_s,
        patience=patience,
        connections_per_host=settings.connections_per_host,
        direct_io=settings.direct_io,
        hub_endpoint=settings.hf_endpoint,
        tokens=settings.tokens_by_origin,
        mirrors=Mirrors(settings.mirrors, refused, copies, _finders(settings)),
    )


def _finders(settings: Settings) -> dict[str, Finder]:
    """Return the finders of addresses at mirrors that are given by a name and not by a prefix."""
    if not any(MODELSCOPE in mirrors for mirrors in settings.mirrors.values()):
        return {}
    return {MODELSCOPE: modelscope_finder(settings)}
