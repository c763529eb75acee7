"""Checks of the settings: config.toml, the environment's variables, the token of the Hub."""

import os
import stat
from collections.abc import Iterator, Mapping

from flowhub_jobs.operations.doctor.check import Check, fail, guarded, ok, skip, warn
from flowhub_jobs.settings import Settings, unknown_variables


def settings_checks(settings: Settings, environ: Mapping[str, str]) -> Iterator[Check]:
    """Yield the checks of settings that could be read."""
    return guarded(
        [
            ("settings.file", lambda: _file(settings)),
            ("settings.variables", lambda: _variables(environ)),
            ("settings.token", lambda: _token(settings)),
        ]
    )


def _file(settings: Settings) -> Check:
    name, path = "settings.file", settings.config_path
    if not os.path.lexists(path):
        return ok(name, f"{path} does not exist: every setting has its default, or is in the environment")
    secret = settings.tokens or settings.notify.command or settings.notify.webhook
    if secret and stat.S_IMODE(path.stat().st_mode) & 0o077:
        return fail(name, f"{path} holds secrets, and other users can read it.", f"chmod 600 {path}")
    return ok(name, f"{path} is read")


def _variables(environ: Mapping[str, str]) -> Check:
    unknown = unknown_variables(environ)
    if not unknown:
        return ok("settings.variables", "every FLOWHUB_ variable is known")
    names = [f"{name} (did you mean {near}?)" if near else name for name, near in unknown.items()]
    return warn(
        "settings.variables", f"Ignored: {', '.join(names)}.", "`flowhub help settings` lists them; correct the name."
    )


def _token(settings: Settings) -> Check:
    name = "settings.token"
    if settings.hf_token:
        return ok(name, f"a token for {settings.hf_endpoint} is set; --online asks whether it is accepted")
    return skip(name, "no token of the Hub is set; gated models need one (HF_TOKEN, or `hf auth login`)")
