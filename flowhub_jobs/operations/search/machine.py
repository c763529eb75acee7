"""The machine that verdicts are for: its memory, and the options installed on it. Each is read at most once."""

import json
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from flowhub_jobs.device.fit import Verdict, fit
from flowhub_jobs.device.need import ModelNeeds
from flowhub_jobs.fs.safe_read import read_regular
from flowhub_jobs.settings import Settings
from flowhub_jobs.values.enums import HubFormat, Offload

if TYPE_CHECKING:
    from flowhub_jobs.device.device_values import Device
    from flowhub_jobs.store.installed_options import OptionKey

NODE_BYTES = 1000


class Machine:
    def __init__(self, settings: Settings, device: "Device | None" = None) -> None:
        """`device` is another machine than this one."""
        self._settings, self._other = settings, device

    @cached_property
    def device(self) -> "Device":
        if self._other is not None:
            return self._other
        from flowhub_jobs.device.probe import probe

        return probe(self._settings.store)

    @cached_property
    def installed(self) -> "frozenset[OptionKey] | None":
        """The installed options, if they can be read without SQLAlchemy; else None."""
        from flowhub_jobs.store.installed_options import installed_options
        from flowhub_jobs.store.layout import stores_named

        settings = self._settings
        stores = stores_named(settings.store, {name: one.path for name, one in settings.stores.items()})
        return installed_options(settings.database_url, _node(settings), stores)

    @cached_property
    def installed_surely(self) -> "frozenset[OptionKey]":
        """The installed options, read with SQLAlchemy if necessary. Raises what `opened` raises."""
        if self.installed is not None:
            return self.installed
        from flowhub_jobs.home import opened

        with opened(self._settings) as home:
            each = home.each_store()
            models = [model for one in each for model in one.library.models(lambda model, option: True)]
        self.installed = frozenset((one.model, one.option) for one in models if one.model and one.option)
        return self.installed

    def has(self, model: str, option: str) -> bool | None:
        return None if self.installed is None else (model, option) in self.installed

    def verdict(self, needs: str, *, installed: bool, context: int | None = None) -> Verdict:
        """Return whether a variant runs here; `needs` is from the index (index_update.needs_as_json)."""
        model_needs = read_needs(needs)
        if context is not None:  # a search asks for thousands of verdicts: nothing is copied without need
            model_needs = replace(model_needs, context=context)
        return fit(model_needs, self.device, reserve_bytes=self._reserve, installed=installed)

    @cached_property
    def _reserve(self) -> int:
        """The bytes of the disk that are kept back."""
        from flowhub_jobs.store.space import effective_reserve

        total = self.device.disk_total_bytes
        return self._settings.disk_reserve if total is None else effective_reserve(total, self._settings.disk_reserve)


def read_needs(needs: str) -> ModelNeeds:
    """Return what `index_update.needs_as_json` wrote."""
    values = json.loads(needs)
    kinds = {"format": HubFormat, "offload": Offload, "platforms": tuple}
    return ModelNeeds(**{name: kinds[name](value) if name in kinds else value for name, value in values.items()})


def _node(settings: Settings) -> str | None:
    """Return this node's name, or None before it has one: then nothing was ever installed."""
    try:
        return settings.node or read_regular(settings.home / "node", NODE_BYTES).decode().strip()
    except (OSError, ValueError):
        return None
