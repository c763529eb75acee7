"""list: lists installed models and partial downloads."""

from collections import Counter
from typing import Annotated

import typer

from flowhub_jobs.cli import output
from flowhub_jobs.cli.library import list_view, nodes_view
from flowhub_jobs.cli.options import AsJson, OfNode, Quiet
from flowhub_jobs.cli.session import open_session, warn_of_catalog
from flowhub_jobs.operations.library.on_nodes import models_on
from flowhub_jobs.operations.library.usage import list_store
from flowhub_jobs.operations.nodes import ALL_NODES, nodes_named
from flowhub_jobs.operations.schemas.library import installed_json, installed_on_nodes_json


def list_models(
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Also show paths, digests and sources.")] = False,
    node: OfNode = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """List installed models, and partial downloads.

    Includes models that were put into the store by hand. --node all is a table of models and nodes.
    """
    if node is not None:
        _list_of_nodes(node)
        return
    with open_session() as session:
        usage = list_store(session)
        warn_of_catalog(session)
    if output.chosen.json:
        output.result_json(installed_json(usage))
        return
    if quiet:
        count = Counter(model.name for model in usage.models)
        for model in usage.models:
            name = output.clean(model.name)
            output.print_raw(name if count[model.name] == 1 else f"{model.store}:{name}")
        return
    if usage.models:
        output.result(list_view.models_text(usage.models, verbose=verbose))
    else:
        output.hint(f"Nothing is installed in {usage.root}. `flowhub enqueue MODEL` queues a model.")
    if not verbose:
        usage = list_view.without_tiny_partials(usage)
    if usage.partials and (verbose or len(usage.partials) <= list_view.FEW):
        output.result(("\n" if usage.models else "") + list_view.partials_text(usage.partials))
    for line in list_view.foot(usage):
        output.hint(output.fold(line, after="  "))


def _list_of_nodes(name: str) -> None:
    """List the models of another node, or of all, as their libraries have them."""
    with open_session() as session:
        models = models_on(session.home, nodes_named(session.home, name))
    if output.chosen.json:
        output.result_json(installed_on_nodes_json(models))
    elif output.chosen.quiet:
        for ref in dict.fromkeys(model.name for model in models.models):
            output.print_raw(output.clean(ref))
    elif not models.refs:
        output.hint("Nothing is installed there. `flowhub enqueue MODEL --on NODE` queues a model.")
    else:
        output.result(nodes_view.matrix_text(models) if name == ALL_NODES else nodes_view.models_text(models))
