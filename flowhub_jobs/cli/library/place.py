"""place: places installed models in the folders of other programs."""

from collections.abc import Iterator, Mapping
from typing import Annotated

import typer

from flowhub_jobs.cli import output
from flowhub_jobs.cli.options import AsJson
from flowhub_jobs.cli.session import open_session, raise_outcome_errors
from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.operations.act_on_each import apply_to_each
from flowhub_jobs.operations.placement import PlaceResult, place_model
from flowhub_jobs.operations.schemas.placements import placements_json
from flowhub_jobs.placement.apps import program_names


def place(
    refs: Annotated[list[str], typer.Argument(metavar="REF…", help="Models, or names from `flowhub list`.")],
    programs: Annotated[
        list[str],
        typer.Option(
            "--in",
            metavar="APP",
            help="hf-cache, lm-studio, ollama, llama-cpp, comfyui, jan, localai, or dir:PATH; repeatable.",
        ),
    ],
    copy: Annotated[
        bool, typer.Option("--copy", help="Copy the bytes where neither a reflink nor a hard link is possible.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Link installed models into folders of other programs.

    Makes a reflink or a hard link, else a symbolic link. A file that flowhub did not create is never replaced.

    The folder is the one that the program uses by itself; [apps] in config.toml names another.
    """
    with open_session() as session:
        session.installed.require_store()
        models = [session.installed.find_one(ref) for ref in refs]
        pairs = {
            f"{name} in {program}": (name, program)
            for name in dict.fromkeys(session.installed.key(model.store, model.name) for model in models)
            for program in program_names(programs)
        }
        outcomes = apply_to_each(list(pairs), lambda key: place_model(session, *pairs[key], copy=copy))
    results = [one for one in outcomes.values() if isinstance(one, PlaceResult)]
    if output.chosen.json:
        if results:
            output.result_json(placements_json(one.placement for one in results))
    else:
        for one in results:
            output.result(output.fold(_sentence(one), after="  "))
        for note in dict.fromkeys(note for one in results for note in one.notes):
            output.hint(output.fold(note))
        for line in list(_failures(outcomes))[1:]:  # the first is in the error
            output.hint(output.fold(line, after="  "))
    raise_outcome_errors(outcomes)


def _failures(outcomes: Mapping[str, PlaceResult | FlowhubError]) -> Iterator[str]:
    for key, error in outcomes.items():
        if isinstance(error, FlowhubError):
            yield output.clean(f"{key}: {error.message} {error.hint or ''}".strip())


def _sentence(one: PlaceResult) -> str:
    placement = one.placement
    placed = "Placed" if one.new else "Placed already:"
    method = f" ({placement.how.text})" if placement.how else ""
    return output.clean(f"{placed} {placement.name} in {placement.app}: {placement.path}{method}.")
