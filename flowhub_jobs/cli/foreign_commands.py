"""The commands of other tools (ollama, hf, docker, apt …), answered with flowhub's own."""

import shlex
from collections.abc import Sequence

import typer.core

from flowhub_jobs.errors import UsageInvalid

SHOWN = 3  # arguments that a hint repeats

# By the path of a group: commands of other tools, and the hint. {MODEL} and {TERM} are replaced by the arguments.
_ENQUEUE = "`flowhub enqueue {MODEL}` queues a download; `flowhub worker` runs it."
_RUN = "flowhub does not run models. `flowhub path {MODEL}` prints the path for your runtime."
_WORKER = "`flowhub worker` downloads queued models; `flowhub worker install` runs it at login."
_SIGN_IN = "Set HF_TOKEN to a token of your account; flowhub also reads the token that `hf auth login` saved."
_TOP = {
    "pull download get fetch install add clone wget curl": _ENQUEUE,
    "ps top jobs queue": "`flowhub status` shows the queue; `flowhub worker status` the workers.",
    "ls models installed": "`flowhub list` lists installed models; `flowhub search` the catalog.",
    "remove delete del uninstall": "`flowhub rm {MODEL}` removes a model; `flowhub cancel JOB` cancels a job.",
    "info inspect view describe": "`flowhub show {MODEL}` shows a model; `flowhub status JOB` a job.",
    "find": "`flowhub search {TERM}` searches the catalog.",
    "config settings set": "`flowhub help settings` lists every setting, its value and where to set it.",
    "serve daemon up": _WORKER,
    "run chat launch generate": _RUN,
    "stop kill abort": "`flowhub pause JOB` or `flowhub cancel JOB`; Ctrl-C stops a worker.",
    "continue unpause": "`flowhub resume JOB` continues a paused job.",
    "restart requeue": "`flowhub retry JOB` queues a failed job again.",
    "begin now": "`flowhub start JOB` starts a queued job now.",
    "upgrade": "`flowhub update` updates models. To update flowhub itself, see its README.",
    "check fsck": "`flowhub verify` checks installed models; `flowhub doctor` this installation.",
    "diagnose env": "`flowhub doctor` checks settings, disk, database, network and workers.",
    "clean gc cleanup cache": "`flowhub prune` removes partial downloads and old versions; `flowhub du` shows sizes.",
    "log history events": "`flowhub logs JOB` shows a job's events; `flowhub status --all` every job.",
    "which where locate": "`flowhub path {MODEL}` prints the path of an installed model.",
    "login auth logout whoami token": _SIGN_IN,
    "push upload cp create": "flowhub only downloads. `flowhub export {MODEL} --to FOLDER` copies models to a disk.",
    "mv": "`flowhub move {MODEL} --to STORE` moves models to another store.",
    "copy": "`flowhub export {MODEL} --to FOLDER` copies models; `flowhub adopt PATH` takes files in.",
    "throttle speed bandwidth": "`flowhub limit RATE` limits the speed of all jobs together.",
    "cron window hours": "`flowhub schedule set 23:00-07:00` sets when jobs run.",
    "watch": "`flowhub status --watch` shows the jobs live.",
    "version": "`flowhub --version` prints the version.",
    "ui gui open": "`flowhub web` serves a local page; `flowhub status --watch` shows the jobs live in the terminal.",
}
_BELOW = {
    "flowhub worker": {
        "stop kill down": "Ctrl-C or SIGTERM stops a worker; `flowhub worker uninstall` removes the service. "
        "`flowhub pause --all` pauses the jobs.",
        "start run up": "`flowhub worker` starts a worker here; `flowhub worker install` runs it at login.",
        "restart reload": "Ctrl-C stops a worker; `flowhub worker install` restarts the service.",
        "logs log": "`flowhub worker status` shows where the log is; `flowhub logs JOB` a job's events.",
        "ps ls list show info": "`flowhub worker status` shows the workers and the service.",
        "enable": "`flowhub worker install` runs a worker at login.",
        "disable remove rm": "`flowhub worker uninstall` removes the service.",
    },
    "flowhub schedule": {
        "rm delete clear none reset": "`flowhub schedule off` removes the schedule.",
        "ls list get status": "`flowhub schedule show` shows the schedule.",
        "on enable": "`flowhub schedule set 23:00-07:00` sets when jobs run.",
    },
    "flowhub catalog": {
        "add pull install get": "`flowhub catalog import FILE` adds models.",
        "ls": "`flowhub catalog list` lists the catalogs.",
        "rm delete uninstall": "`flowhub catalog remove NAME` removes a catalog.",
        "check": "`flowhub catalog validate FILE` checks a catalog.",
        "refresh upgrade": "`flowhub catalog update` downloads the catalogs again.",
    },
}
_WORDS = {"flowhub": _TOP, **_BELOW}


def answer(group: str, typed: Sequence[str]) -> UsageInvalid | None:
    """Return the error that answers a command of another tool; None if the command is not known.

    `group` is the path of the group, as "flowhub worker"; `typed` is the command and its arguments.
    """
    command = typed[0].lower()
    for commands, hint in _WORDS.get(group, {}).items():
        if command in commands.split():
            return UsageInvalid(f"{group} has no command {typed[0]!r}.", hint=_fill_hint(hint, typed[1:]))
    return None


def _fill_hint(hint: str, arguments: Sequence[str]) -> str:
    """Return the hint with the typed arguments in place of `{MODEL}`, if they are few and have no options."""
    fits = 0 < len(arguments) <= SHOWN and not any(argument.startswith("-") for argument in arguments)
    typed = shlex.join(arguments) if fits else ""
    for name in ("MODEL", "TERM"):
        hint = hint.replace(f"{{{name}}}", typed or name)
    return hint


class AnsweringGroup(typer.core.TyperGroup):
    """A group of commands that answers the commands of other tools with a hint."""

    def resolve_command(self, ctx, args):  # type: ignore[no-untyped-def]  # Typer exports no names for these
        if args and args[0] not in self.commands and (error := answer(ctx.command_path, args)):
            raise error
        return super().resolve_command(ctx, args)
