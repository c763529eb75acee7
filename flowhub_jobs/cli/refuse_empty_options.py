"""Option values that no verb takes: an empty one, as `--at "$TIME"` has it without that variable, and `--json`."""

from typing import Any

import typer


def refuse_empty_values(command: Any) -> Any:
    """Have a command, and each command of a group, refuse an option with an empty value or with --json as its value."""
    for one in getattr(command, "commands", {}).values():
        refuse_empty_values(one)
    for parameter in command.params:
        if parameter.param_type_name == "option" and not parameter.is_flag:
            parameter.callback = _checked(parameter.callback)
    return command


def _checked(callback: Any) -> Any:
    """Return a callback of an option that refuses such a value, then does what `callback` does."""

    def check(context: Any, parameter: Any, value: Any) -> Any:
        values = value if isinstance(value, list | tuple) else [value]
        if any(isinstance(one, str) and not one.strip() for one in values):
            raise typer.BadParameter("it is empty.", ctx=context, param=parameter)
        if "--json" in values:
            raise typer.BadParameter("it is missing; --json is an option.", ctx=context, param=parameter)
        return callback(context, parameter, value) if callback else value

    return check
