"""Settings: flag over environment over `config.toml` over default."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from flowhub_jobs.errors import FlowhubError, SettingInvalid
from flowhub_jobs.net.urls import HUB, is_loopback, origin
from flowhub_jobs.units import parse_rate
from flowhub_jobs.values.convert_settings import converted, size
from flowhub_jobs.values.mirror_settings import MIRRORS_HINT, mirrors_from
from flowhub_jobs.values.notify_settings import NOTIFY_HINT, Notify, notify_from
from flowhub_jobs.values.pasted_text import decode_text, parse_token, unquoted
from flowhub_jobs.values.store_settings import DEFAULT_STORE, STORES_HINT, StoreSettings, overlapping, stores_from

_NOT_FROM_FILE = {"home", "hf_token"}  # of the environment alone, as elsewhere
_FROM_FILE_ALONE = {
    "tokens",
    "mirrors",
    "notify",
    "apps",
    "stores",
    "hf_endpoint",
}  # HF_ENDPOINT has no FLOWHUB_ before it


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting. Times are seconds, sizes bytes, rates bytes a second."""

    home: Path
    store: Path
    database_url: str
    database_listen: bool = True  # False: a pooler gives each transaction another session, where LISTEN hears nothing
    catalog: str | None = None
    node: str | None = None

    jobs: int = 3
    queue_order: str = "oldest_first"  # enums.QueueOrder: within one priority
    limit_rate: int | None = None
    disk_reserve: int = 1_000_000_000
    store_max: int | None = None  # bytes that the store may have, partials included
    stores: Mapping[str, StoreSettings] = field(default_factory=dict)  # more of them, by name

    connect_timeout_s: float = 10.0
    headers_timeout_s: float = 30.0
    stall_timeout_s: float = 20.0
    slow_bps: int = 1024
    slow_window_s: float = 30.0
    backoff_base_s: float = 1.0
    backoff_cap_s: float = 300.0
    faults_max: int = 10
    give_up_after: float = 86_400.0  # seconds without a new byte, after which a job fails for a fault that could pass
    retry_after_max_s: float = 3600.0
    connections_per_host: int = 16
    direct_io: bool = True  # write past the system's cache where the disk is known to take it
    look_again_s: float = 15.0  # for room on the disk, or for a store that is offline
    look_elsewhere: bool = True  # for a model's bytes, on this machine, before they are fetched
    check: bool = True  # `enqueue` asks the source for the first bytes of what no catalog pins

    place: tuple[str, ...] = ()  # the programs that `enqueue` has each model placed in
    apps: Mapping[str, str] = field(default_factory=dict)  # the folders of programs, where they are not the usual ones

    keep_events_days: int = 90  # of jobs that have ended; the jobs themselves stay
    share_readers: int = 2  # other nodes that download from this one's share at a time
    log_format: str = "plain"
    notify: Notify = field(default_factory=Notify)

    hf_token: str | None = field(default=None, repr=False)
    hf_endpoint: str = HUB
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)
    mirrors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    modelscope_endpoint: str = "https://modelscope.cn"

    @property
    def queue_path(self) -> Path:
        return self.home / "queue.db"

    @property
    def locks(self) -> Path:
        """The folder of the workers' lock files."""
        return self.home / "workers"

    @property
    def tokens_by_origin(self) -> dict[str, str]:
        """Return every token under the origin it belongs to: HF_TOKEN to that of HF_ENDPOINT alone."""
        tokens = {origin(name): token for name, token in self.tokens.items()}
        return tokens | ({origin(self.hf_endpoint): self.hf_token} if self.hf_token else {})

    def limits_of_store(self, name: str) -> tuple[int, int | None]:
        """Return the bytes of its disk that stay free, and the most bytes that the store may have."""
        if (one := self.stores.get(name)) is None:
            return self.disk_reserve, self.store_max
        return self.disk_reserve if one.reserve is None else one.reserve, one.max

    @property
    def config_path(self) -> Path:
        return self.home / "config.toml"


def load_settings(environ: Mapping[str, str] | None = None, **flags: Any) -> Settings:
    """Return the settings in force; a flag that is None was not given. `limit_rate` may be as typed: 5M, off.

    Raises SettingInvalid, which names the setting and where it stands, and UsageInvalid for a `limit_rate`.
    """
    env = os.environ if environ is None else environ
    home = _place("home", flags.get("home") or env.get("FLOWHUB_HOME") or "~/.flow-studio")
    # A relative store is relative to config.toml; from the environment, to the working directory.
    values = _from_file(home / "config.toml") | _from_environment(env)
    values |= {name: value for name, value in flags.items() if value is not None and name not in ("home", "notify")}
    if isinstance(typed := flags.get("limit_rate"), str):  # `off` is None then, and removes the limit of the file
        values["limit_rate"] = parse_rate(typed)
    store = _place("store", values.pop("store", None) or home / "llms")
    url = values.pop("database_url", None) or f"sqlite:///{_in_url(home / 'flowhub.db')}"
    endpoint = unquoted(env.get("HF_ENDPOINT") or "") or values.pop("hf_endpoint", HUB)
    values.pop("hf_endpoint", None)
    if "modelscope_endpoint" in values:
        values["modelscope_endpoint"] = _site(values["modelscope_endpoint"], "modelscope_endpoint")
    settings = Settings(home=home, store=store, database_url=url, **values)
    _check_stores(settings)
    return replace(
        settings,
        hf_token=_sendable(env.get("HF_TOKEN") or "", "HF_TOKEN") or _token_from_file(env),
        hf_endpoint=_with_scheme(endpoint.rstrip("/")),
    )


def reread_stores(settings: Settings) -> Settings:
    """Return the settings with `[stores]` as config.toml has it now. Raises SettingInvalid."""
    current = replace(settings, stores=_from_file(settings.config_path).get("stores", {}))
    _check_stores(current)
    return current


def unknown_variables(environ: Mapping[str, str]) -> dict[str, str | None]:
    """Return the FLOWHUB_ variables that are ignored, each with the variable whose name is nearest, if one is near."""
    names = {setting.name for setting in fields(Settings)} - (_NOT_FROM_FILE - {"home"}) - _FROM_FILE_ALONE
    known = {"FLOWHUB_DEBUG", *(f"FLOWHUB_{name.upper()}" for name in names)}
    refused = "FLOWHUB_NOTIFY"  # by _refuse_notify
    unknown = sorted(name for name in environ if name.startswith("FLOWHUB_") and name not in known)
    return {name: _nearest_variable(name, known) for name in unknown if not name.startswith(refused)}


def _nearest_variable(name: str, known: set[str]) -> str | None:
    from difflib import get_close_matches

    if (short_name := name.removeprefix("FLOWHUB_")).lower() in _NOT_FROM_FILE | {"hf_endpoint"}:
        return short_name  # HF_TOKEN, HF_ENDPOINT
    return next(iter(get_close_matches(name, sorted(known), 1, 0.8)), None)


def _with_scheme(endpoint: str) -> str:
    """Return an address of the Hub's stand-in: `mirror.example` is written for https://mirror.example."""
    if "://" in endpoint:
        return endpoint
    host = endpoint.partition("/")[0].rpartition(":")[0] or endpoint.partition("/")[0]
    return f"http://{endpoint}" if is_loopback(host) else f"https://{endpoint}"


def _site(typed: str, name: str) -> str:
    """Return the address of a site without a slash at its end. Raises SettingInvalid."""
    endpoint = _with_scheme(typed.strip().rstrip("/"))
    try:
        origin(endpoint)
    except FlowhubError as error:
        raise SettingInvalid(f"{name}: {error.message}", hint='Write "https://host".') from None
    return endpoint


def _sendable(typed: str, name: str) -> str:
    """Return a token that can stand in a header. Raises SettingInvalid, which does not show it."""
    token = parse_token(typed)
    if _can_be_sent(token):
        return token
    raise SettingInvalid(
        f"{name} is not a token: it has characters that no token has.", hint="Copy it once more, whole."
    )


def _can_be_sent(token: str) -> bool:
    return token.isascii() and token.isprintable() and " " not in token


def _token_from_file(env: Mapping[str, str]) -> str | None:
    """Return the token that the Hub's own tools keep; one that cannot be read, or be sent, is none."""
    home = env.get("HOME", "")
    base = env.get("HF_HOME") or f"{env.get('XDG_CACHE_HOME') or home + '/.cache'}/huggingface"
    place = env.get("HF_TOKEN_PATH") or f"{base}/token"
    path = Path(home + place[1:] if place.startswith("~/") else place)
    try:
        if not path.is_absolute() or not path.is_file():  # without a HOME there is no such file; a pipe would not end
            return None
        token = parse_token(decode_text(path.read_bytes()))
    except (OSError, ValueError):
        return None
    return token if token and _can_be_sent(token) else None


def _from_environment(env: Mapping[str, str]) -> dict[str, Any]:
    _refuse_notify(env)
    values = {}
    for setting in fields(Settings):
        text = env.get(f"FLOWHUB_{setting.name.upper()}")
        if text and setting.name not in _NOT_FROM_FILE | _FROM_FILE_ALONE:
            values[setting.name] = converted(setting.name, setting.type, text, f"FLOWHUB_{setting.name.upper()}")
    return values


def _refuse_notify(env: Mapping[str, str]) -> None:
    """Raise, rather than ignore it: the user relies on being notified of failures."""
    if name := next((name for name in env if env[name] and name.startswith("FLOWHUB_NOTIFY")), None):
        hint = "Unset it, and write a [notify] table into config.toml in flowhub's home."
        raise SettingInvalid(
            f"{name} is set, but flowhub reads the notification settings from config.toml only.", hint=hint
        )


def _from_file(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(decode_text(path.read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise SettingInvalid(f"{path} cannot be read: {error}", hint="Correct the file, or remove it.") from error
    types = {setting.name: setting.type for setting in fields(Settings) if setting.name not in _NOT_FROM_FILE}
    values: dict[str, Any] = {}
    for name, value in table.items():
        if name not in types:
            raise SettingInvalid(f"{path} has a setting {name!r} that flowhub does not know.", hint=_names(types))
        read = {"tokens": _tokens, "mirrors": _mirrors, "notify": _notify, "apps": _apps, "stores": _stores}.get(name)
        values[name] = read(value, path) if read else converted(name, types[name], value, str(path))
    if "store" in values:  # relative to config.toml
        values["store"] = path.parent / _expanded("store", values["store"])
    if "catalog" in values and "://" not in values["catalog"]:
        values["catalog"] = str(path.parent / _expanded("catalog", values["catalog"]))
    return values


def _in_url(path: Path) -> str:
    """Return a path as it stands in a URL, where a ? would end it and a % begin another character."""
    return str(path).replace("%", "%25").replace("?", "%3F")


def _place(name: str, path: str | Path) -> Path:
    absolute = _expanded(name, path).absolute()
    try:
        str(absolute).encode()
    except UnicodeEncodeError:  # the database and every page are UTF-8
        printable = os.fsencode(absolute).decode(errors="backslashreplace")
        hint = f"Rename that folder, or name another in FLOWHUB_{name.upper()}."
        raise SettingInvalid(f"The path of the {name} is not UTF-8 text: {printable}.", hint=hint) from None
    return absolute


def _expanded(name: str, path: str | Path) -> Path:
    if "\0" in str(path):
        raise SettingInvalid(f"The {name} {str(path)!r} is not a path: it has a NUL in it.", hint="Correct it.")
    try:
        return Path(path).expanduser()
    except RuntimeError:
        hint = f"Write the whole path in FLOWHUB_{name.upper()}."
        raise SettingInvalid(f"The {name} {str(path)!r} begins with a user who has no home here.", hint=hint) from None


def _names(types: Mapping[str, Any]) -> str:
    return f"Known are: {', '.join(sorted(types))}."


def _tokens(value: Any, path: Path) -> dict[str, str]:
    if isinstance(value, dict) and all(isinstance(token, str) for token in value.values()):
        for name in value:
            _check_origin(name, path)
        return {str(name): _sendable(token, f"{path}: the token of {name}") for name, token in value.items()}
    raise SettingInvalid(f"{path}: [tokens] must map an origin to a token.", hint='[tokens]\n"https://host" = "…"')


def _apps(value: Any, path: Path) -> dict[str, str]:
    if isinstance(value, dict) and all(isinstance(folder, str) and folder for folder in value.values()):
        return {str(name): str(path.parent / _expanded("apps", folder)) for name, folder in value.items()}
    raise SettingInvalid(f"{path}: [apps] must map a program to its folder.", hint='[apps]\nlm-studio = "/models/lms"')


def _stores(value: Any, path: Path) -> Mapping[str, StoreSettings]:
    try:
        return stores_from(value, lambda folder: path.parent / _expanded("stores", folder), size)
    except ValueError as error:
        raise SettingInvalid(f"{path}: [stores] cannot be used: {error}.", hint=STORES_HINT) from None


def _check_stores(settings: Settings) -> None:
    """Raise SettingInvalid for a store in another: one file would be in two of them."""
    paths = {name: one.path for name, one in settings.stores.items()}
    if paths and (both := overlapping({DEFAULT_STORE: settings.store, **paths})):
        raise SettingInvalid(
            f"{settings.config_path}: the store {both[0]!r} is in the folder of the store {both[1]!r}.",
            hint="Give each store a folder of its own.",
        )


def _check_origin(name: str, path: Path) -> None:
    try:
        origin(name)
    except FlowhubError:
        hint = 'Write where the token belongs as "https://host", or "http://127.0.0.1:PORT".'
        raise SettingInvalid(f"{path}: {name!r}, under [tokens], is not an origin.", hint=hint) from None


def _mirrors(value: Any, path: Path) -> Mapping[str, tuple[str, ...]]:
    try:
        return mirrors_from(value)
    except ValueError as error:
        raise SettingInvalid(f"{path}: [mirrors] cannot be used: {error}.", hint=MIRRORS_HINT) from None


def _notify(value: Any, path: Path) -> Notify:
    try:
        return notify_from(value)
    except ValueError as error:
        raise SettingInvalid(f"{path}: [notify] cannot be used: {error}.", hint=NOTIFY_HINT) from None
