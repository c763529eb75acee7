"""completion: prints a script for the shell."""

from typing import Annotated

import typer

from flowhub_jobs.cli import output
from flowhub_jobs.cli.completion.scripts import SHELLS, script
from flowhub_jobs.cli.help.help_json import manual_json
from flowhub_jobs.errors import UsageInvalid


def completion(
    shell: Annotated[str, typer.Argument(metavar="bash|zsh|fish", help="The shell.")],
) -> None:
    """Print the completion script of a shell.

    bash, in ~/.bashrc: source <(flowhub completion bash)

    zsh, in ~/.zshrc after compinit: source <(flowhub completion zsh)

    fish: flowhub completion fish > ~/.config/fish/completions/flowhub.fish
    """
    if shell not in SHELLS:
        raise UsageInvalid(f"There is no completion for {shell!r}.", hint=f"Shells: {', '.join(SHELLS)}.")
    output.print_raw(script(shell, manual_json()["verbs"]).rstrip("\n"))
