"""show, device: what there is, and whether it runs here."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowhub_jobs.cli.options import AsJson

if TYPE_CHECKING:
    from flowhub_jobs.catalogs.schema import HubModel
    from flowhub_jobs.hub.desk import Desk


def show(
    ref: Annotated[str, typer.Argument(metavar="REF", help="A model of the catalog.")], as_json: AsJson = False
) -> None:
    """Show a model's variants, and which of them run here."""
    from flowhub_jobs.catalogs.resolve import find_model, parse_reference, resolve_option
    from flowhub_jobs.cli import say
    from flowhub_jobs.cli.session import desk, warn_of_catalog

    with desk() as found:
        wanted = parse_reference(ref)
        model = find_model(found.loaded.catalog, wanted.model)
        if wanted.option:
            resolve_option(model, wanted.option)
        warn_of_catalog(found, quiet=as_json)
        variants = _variants(found, model, wanted.option)
        if as_json:
            card = model.model_dump(by_alias=True, mode="json", exclude={"downloads"})
            say.result_json({"schema": "flowhub/model/1", "model": card, "variants": variants})
        else:
            _print_card(model, variants)


def _variants(found: "Desk", model: "HubModel", only: str | None) -> list[dict[str, Any]]:
    from flowhub_jobs.catalogs.schema import artifact as artifact_of
    from flowhub_jobs.hub.desk import Order

    options = [option for option in model.downloads if only in (None, option.id)]
    plans = found.plan([Order(artifact_of(model, option)) for option in options])
    variants = []
    for option, plan in zip(options, plans, strict=True):
        verdict = found.verdict(plan.artifact)
        variants.append(
            {
                "ref": plan.artifact.ref,
                "option": option.id,
                "format": str(option.format),
                "quantization": option.quantization,
                "bytes": plan.artifact.size,
                "files": len(plan.artifact.files),
                "fit": str(verdict.fit),
                "why": verdict.why,
                "state": {"fetch": None}.get(plan.action, plan.action),
            }
        )
    return variants


def _print_card(model: "HubModel", variants: list[dict[str, Any]]) -> None:
    from flowhub_jobs.cli import say
    from flowhub_jobs.words import format_bytes

    by = f", by {model.publisher}" if model.publisher else ""
    say.result(say.fold(f"{model.name} ({model.id}){by}", after="  "))
    if model.description:
        say.result(say.fold(model.description, "  "))
    facts = {
        "parameters": model.parameters,
        "context": f"{model.context_length} tokens" if model.context_length else None,
        "license": model.license,
        "tags": ", ".join(model.tags),
        "homepage": model.homepage,
    }
    for name, value in facts.items():
        if value:
            say.result(say.fold(f"{name:<10} {value}", "  ", after=" " * 13))
    say.result("")
    rows = [
        (
            str(variant["option"]),
            str(variant["format"]),
            format_bytes(variant["bytes"]) if variant["bytes"] is not None else "unknown",
            str(variant["fit"]) + (f" ({variant['state']})" if variant["state"] else ""),
            str(variant["why"]),
        )
        for variant in variants
    ]
    say.result(say.folded_table(("OPTION", "FORMAT", "SIZE", "HERE", "WHY"), rows, right=(2,)))
    say.hint(f"\n{_next(variants)}")


def _next(variants: list[dict[str, Any]]) -> str:
    """Return what to do next: open what is here, else fetch the first that runs here, else the first."""
    here = [variant["ref"] for variant in variants if variant["state"] == "installed"]
    if here:
        return f"`flowhub path {here[0]}` prints where it lies."
    runs = [variant["ref"] for variant in variants if variant["fit"] in ("fits", "tight")]
    return f"`flowhub enqueue {(runs or [variants[0]['ref']])[0]}` queues it."


def device(as_json: AsJson = False) -> None:
    """Show this machine: platform, memory, disk."""
    from flowhub_jobs.cli import say
    from flowhub_jobs.cli.session import desk
    from flowhub_jobs.words import format_bytes

    with desk() as found:
        machine = found.device
        store = found.home.store.root
    if as_json:
        say.result_json({"schema": "flowhub/device/1", "device": machine.as_dict()})
        return

    def gib(count: int | None) -> str:
        return "unknown" if count is None else f"{count / 2**30:.1f} GiB"

    source = " (the container's limit)" if machine.ram_source == "cgroup" else ""
    say.result(
        f"  machine    {machine.hostname or 'unknown'}, {machine.platform} on {machine.architecture or 'unknown'}"
    )
    say.result(f"  processor  {machine.cpu or 'unknown'}, {machine.cores or 'unknown'} cores")
    say.result(f"  memory     {gib(machine.ram_total_bytes)}{source}, {gib(machine.ram_available_bytes)} available")
    free, total = machine.disk_free_bytes, machine.disk_total_bytes
    room = (
        f"{format_bytes(free)} free of {format_bytes(total)}" if free is not None and total is not None else "unknown"
    )
    say.result(f"  store      {store}: {room}")
