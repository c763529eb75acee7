"""search_models, check_fit, list_installed, model_path: the catalogs, this machine and the store."""

from datetime import date

from flowhub_jobs.mcp.tool import AgentTool, Arguments, ToolResult
from flowhub_jobs.operations.json_arguments import SWITCH, TEXT, TEXTS, Field
from flowhub_jobs.operations.library.match import file_to_open
from flowhub_jobs.operations.library.on_nodes import models_on
from flowhub_jobs.operations.library.usage import list_store
from flowhub_jobs.operations.nodes import nodes_named
from flowhub_jobs.operations.result_types import Filters
from flowhub_jobs.operations.schemas.library import installed_json, installed_on_nodes_json, path_json
from flowhub_jobs.operations.schemas.search import fits_json, search_json
from flowhub_jobs.operations.search.search import SORTS, SearchRequest, run_search
from flowhub_jobs.operations.search.variants import judge
from flowhub_jobs.operations.session import Session
from flowhub_jobs.values.enums import Condition, HubFormat

FOUND, FOUND_MAX = 10, 100  # models of one result
CONTEXT_MAX = 10**9


def search_models(session: Session, arguments: Arguments) -> ToolResult:
    typed = tuple(arguments.get("query", "").split())
    request = SearchRequest(
        typed=typed,
        filters=Filters.typed(
            format=arguments.get("format"),
            params=arguments.get("params"),
            max_size=arguments.get("max_size"),
            license=arguments.get("license"),
            tags=tuple(arguments.get("tags", ())),
            publisher=arguments.get("publisher"),
            new_on=date.today() if arguments.get("new") else None,
        ),
        fits=arguments.get("fits", False),
        installed=arguments.get("installed", False),
        sort=arguments.get("sort"),
        limit=arguments.get("limit", FOUND),
    )
    result = run_search(session.settings, request)
    return ToolResult(search_json(result, typed), tuple(result.warnings))


def check_fit(session: Session, arguments: Arguments) -> ToolResult:
    variants = judge(session, arguments["ref"], context=arguments.get("context"))
    return ToolResult(fits_json(session.device, variants))


def list_installed(session: Session, arguments: Arguments) -> ToolResult:
    node = arguments.get("node")
    if node is None:
        return ToolResult(installed_json(list_store(session)))
    return ToolResult(installed_on_nodes_json(models_on(session.home, nodes_named(session.home, node))))


def model_path(session: Session, arguments: Arguments) -> ToolResult:
    model = session.installed.find_one(arguments["ref"])
    page = path_json(model, file_to_open(model.path))
    altered = model.condition in (Condition.CHANGED, Condition.DAMAGED)
    note = f"{model.name} differs from the file that was verified; `flowhub verify` reads it again."
    return ToolResult(page, (note,) if altered else ())


_REF = "model, model@option, hf:owner/repo[:QUANT], the URL of a file, or an installed name."
_SEARCH = (
    Field("query", TEXT, help="Words, or the beginnings of words: a name, a publisher, a tag, a quantization."),
    Field("format", {"type": "string", "enum": [*HubFormat]}, help="Only this format."),
    Field("params", TEXT, help="Number of parameters: 7B (rounded), 7..14B, ..8B, 30B.."),
    Field("max_size", TEXT, help="Maximum size of the download: 10G, 500M, 8GiB."),
    Field("license", TEXT, help="Only this license: apache, mit."),
    Field("tags", TEXTS, help="Only models with all of these tags, such as code or vision."),
    Field("publisher", TEXT, help="Only this publisher, such as qwen."),
    Field("fits", SWITCH, help="Only models with a variant that runs on this machine."),
    Field("installed", SWITCH, help="Only installed models."),
    Field("new", SWITCH, help="Only models released in the last 90 days, newest first."),
    Field("sort", {"type": "string", "enum": [*SORTS]}, help="The order; by default the best match first."),
    Field(
        "limit",
        {"type": "integer", "minimum": 1, "maximum": FOUND_MAX},
        help=f"Number of models (default {FOUND}); total in the result counts all.",
    ),
)

SEARCH = AgentTool(
    "search_models",
    "Search the catalogs",
    "Search the catalogs of models. Each model has its variants with size, and whether they fit this machine. "
    "`best` is the reference to enqueue.",
    search_models,
    "flowhub/search/1",
    _SEARCH,
    asks=True,
)
CHECK_FIT = AgentTool(
    "check_fit",
    "Check whether a model runs here",
    "Check whether the variants of a model run on this machine, with the arithmetic of memory and disk. `fit` is fits, "
    "tight, slow, too big, wrong platform or unknown; `why` is a sentence.",
    check_fit,
    "flowhub/fits/1",
    (
        Field("ref", TEXT, help=_REF, required=True),
        Field(
            "context",
            {"type": "integer", "minimum": 1, "maximum": CONTEXT_MAX},
            help="Context length in tokens (default 4096).",
        ),
    ),
    asks=True,
)
LIST_INSTALLED = AgentTool(
    "list_installed",
    "List installed models",
    "List the installed models with path, size and digest, and the partial downloads.",
    list_installed,
    "flowhub/installed/1",
    (Field("node", TEXT, help="Of this node, as its library has it (default: this machine), or of all."),),
)
MODEL_PATH = AgentTool(
    "model_path",
    "Return the path of a model",
    "Return the path of an installed model for a runtime to open: its file, the first of its parts, or its folder. "
    "A model that is still queued or running is not found.",
    model_path,
    "flowhub/path/1",
    (Field("ref", TEXT, help="model, model@option, hf:…, or a name of list_installed.", required=True),),
)
