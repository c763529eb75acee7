"""The completion scripts of bash, zsh and fish, made from the verbs' own options. Pure."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flowhub_jobs.placement.apps import APPS
from flowhub_jobs.values.enums import State

SHELLS = ("bash", "zsh", "fish")
# The kind of names (cli/completion/candidates.py) that a verb takes.
NAMES = {
    "enqueue": "models",
    "follow": "models",
    "unfollow": "followed",
    "show": "models",
    "fits": "models",
    "path": "installed",
    "rm": "installed",
    "verify": "installed",
    "update": "installed",
    "outdated": "installed",
    "export": "installed",
    "status": "jobs",
    "logs": "jobs",
    "wait": "live",
    "cancel": "live",
    "pause": "live",
    "priority": "live",
    "start": "queued",
    "resume": "paused",
    "retry": "ended",
    "pin": "installed",
    "unpin": "installed",
    "place": "installed",
    "unplace": "installed",
    "nodes remove": "nodes",
    "catalog remove": "catalogs",
    "catalog update": "catalogs",
}
# The kind of names that an option of a verb takes. `fits --on` takes a file.
OPTION_NAMES = {
    ("enqueue", "--on"): "node-lists",
    ("enqueue", "--after"): "live",
    ("enqueue", "--store"): "stores",
    ("status", "--node"): "nodes-or-all",
    ("list", "--node"): "nodes-or-all",
    ("report", "--node"): "nodes-or-all",
}
# Fixed values of options and arguments.
VALUES = {
    "--state": [str(state) for state in State],
    "--outside": ["pause"],
    "--log-format": ["plain", "json"],
    "--place": [*APPS],
    "--in": [*APPS],
}
WORDS = {"help": ["errors", "states", "reasons", "settings", "references", "units"], "completion": list(SHELLS)}


def script(shell: str, verbs: Sequence[Mapping[str, Any]]) -> str:
    """Return the script of a shell; `verbs` are those of `flowhub/help/1`."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](verbs)


def _top(verbs: Iterable[Mapping[str, Any]]) -> list[str]:
    return [verb["name"] for verb in verbs if " " not in verb["name"]]


def _subcommands(verbs: Iterable[Mapping[str, Any]], name: str) -> list[str]:
    """Return the verbs behind a verb: of `catalog` list, import …"""
    return [verb["name"].split()[1] for verb in verbs if verb["name"].startswith(f"{name} ")]


def _options(verb: Mapping[str, Any]) -> list[str]:
    return [name for option in verb["options"] for name in option["names"]] + ["--help"]


def _words(verbs: Sequence[Mapping[str, Any]], verb: Mapping[str, Any]) -> str:
    name = verb["name"]
    return " ".join([*_subcommands(verbs, name), *_fixed_arguments(verbs, name), *_options(verb)])


def _fixed_arguments(verbs: Sequence[Mapping[str, Any]], name: str) -> list[str]:
    """Return the fixed arguments of a verb; of `help` its topics and all verbs."""
    return [*WORDS.get(name, []), *(_top(verbs) if name == "help" else [])]


def _cases(verbs: Sequence[Mapping[str, Any]]) -> str:
    """Return the branches of a `case` of bash or zsh: each verb's options, and the kind of names it takes."""
    lines = []
    for verb in verbs:
        kind = f" kind={NAMES[verb['name']]}" if verb["name"] in NAMES else ""
        lines.append(f"        {shlex.quote(verb['name'])}) words={shlex.quote(_words(verbs, verb))}{kind} ;;")
    return "\n".join(lines)


def _values() -> str:
    return "\n".join(
        f"        {option}) words={shlex.quote(' '.join(values))} kind= ;;" for option, values in VALUES.items()
    )


def _option_names() -> str:
    return "\n".join(
        f"        {shlex.quote(f'{verb} {option}')}) kind={kind} ;;" for (verb, option), kind in OPTION_NAMES.items()
    )


def _groups(verbs: Sequence[Mapping[str, Any]]) -> str:
    return "|".join(name for name in _top(verbs) if _subcommands(verbs, name))


def _bash(verbs: Sequence[Mapping[str, Any]]) -> str:
    return f"""\
# flowhub: completion for bash. In ~/.bashrc: source <(flowhub completion bash)
_flowhub() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} verb= words= kind= word
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case $word in -*) continue ;; esac
        case $verb in
            '') verb=$word ;;
            {_groups(verbs)}) verb="$verb $word" ;;
        esac
    done
    case $verb in
        '') words={shlex.quote(" ".join([*_top(verbs), "--version", "--help", "--json"]))} ;;
{_cases(verbs)}
    esac
    case $prev in
{_values()}
    esac
    case "$verb $prev" in
{_option_names()}
    esac
    [[ -n $kind && $cur != -* ]] && words=$(flowhub __complete "$kind" "$cur" 2>/dev/null)
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
}}
complete -o default -F _flowhub flowhub
"""


def _zsh(verbs: Sequence[Mapping[str, Any]]) -> str:
    return f"""\
#compdef flowhub
# flowhub: completion for zsh. In ~/.zshrc, after compinit: source <(flowhub completion zsh)
_flowhub() {{
    local previous=${{words[CURRENT-1]}}
    local -a typed; typed=("${{(@)words[2,CURRENT-1]}}")
    local verb= words= kind= word=
    for word in $typed; do
        case $word in (-*) continue ;; esac
        case $verb in
            ('') verb=$word ;;
            ({_groups(verbs)}) verb="$verb $word" ;;
        esac
    done
    case $verb in
        '') words={shlex.quote(" ".join([*_top(verbs), "--version", "--help", "--json"]))} ;;
{_cases(verbs)}
    esac
    case $previous in
{_values()}
    esac
    case "$verb $previous" in
{_option_names()}
    esac
    if [[ -n $kind && $PREFIX != -* ]]; then
        compadd -- ${{(f)"$(flowhub __complete $kind $PREFIX 2>/dev/null)"}}
    else
        compadd -- ${{=words}}
    fi
    _files
}}
compdef _flowhub flowhub
"""


def _fish(verbs: Sequence[Mapping[str, Any]]) -> str:
    lines = ["# flowhub: completion for fish. flowhub completion fish > ~/.config/fish/completions/flowhub.fish"]
    for verb in verbs:
        name, *below = verb["name"].split()
        text = _fish_quoted(verb["help"])
        if not below:
            lines.append(f"complete -c flowhub -n __fish_use_subcommand -a {name} -d {text}")
        else:
            lines.append(f"complete -c flowhub -n '__fish_seen_subcommand_from {name}' -a {below[0]} -d {text}")
        condition = " && ".join(f"__fish_seen_subcommand_from {verb_name}" for verb_name in [name, *below])
        lines += [_fish_option(condition, verb["name"], option) for option in verb["options"]]
        if kind := NAMES.get(verb["name"]):
            lines.append(f"complete -c flowhub -n '{condition}' -a '(flowhub __complete {kind} (commandline -ct))'")
        lines += [
            f"complete -c flowhub -n '{condition}' -a {verb_name}"
            for verb_name in _fixed_arguments(verbs, verb["name"])
        ]
    return "\n".join(lines) + "\n"


def _fish_option(condition: str, verb: str, option: Mapping[str, Any]) -> str:
    kinds = [OPTION_NAMES[verb, name] for name in option["names"] if (verb, name) in OPTION_NAMES]
    names = [f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option["names"]]
    values = [value for name in option["names"] for value in VALUES.get(name, [])]
    values += [f"(flowhub __complete {kind} (commandline -ct))" for kind in kinds]
    takes = (" -x -a " + _fish_quoted(" ".join(values)) if values else " -r") if option["value"] else ""
    return f"complete -c flowhub -n '{condition}' {' '.join(names)}{takes} -d {_fish_quoted(option['help'] or '')}"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
