"""The protocol: lists the tools and calls them, on stdin and stdout, until stdin ends or a signal arrives."""

import asyncio
import json
import logging
import os
import signal
from typing import Any

import anyio.to_thread
import mcp_types as types
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError

from flowhub_jobs import __version__
from flowhub_jobs.mcp.calls import call
from flowhub_jobs.mcp.result_schemas import result_schema
from flowhub_jobs.mcp.tool import AgentTool
from flowhub_jobs.mcp.tool_table import BY_NAME, TOOLS

INSTRUCTIONS = (
    "flowhub downloads model files (GGUF, MLX, safetensors) with a durable queue: jobs continue when this process "
    "ends, and resume after a crash. Search, check the fit, enqueue, then ask job_status now and then; a worker must "
    "run (`flowhub worker`). A result with isError has error.code, error.hint and error.retryable. Models are not "
    "removed here: the user does that with `flowhub rm`."
)


def serve() -> None:
    """Serve on stdin and stdout until stdin ends. On a signal the process ends at once, with 128 + its number.

    What a call has committed stays; nothing else is kept in this process.
    """
    logging.getLogger("mcp").setLevel(logging.WARNING)
    asyncio.run(_serve())


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Not a cancellation: it would wait for the thread that reads stdin, until the client closes it.
        loop.add_signal_handler(number, os._exit, 128 + number)
    server = Server(
        "flowhub",
        version=__version__,
        title="flowhub",
        instructions=INSTRUCTIONS,
        on_list_tools=_list_tools,
        on_call_tool=_call_tool,
    )
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


async def _list_tools(_context: Any, _params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
    return types.ListToolsResult(tools=[_tool_description(tool) for tool in TOOLS])


async def _call_tool(_context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
    tool = BY_NAME.get(params.name)
    if tool is None:
        raise MCPError(types.INVALID_PARAMS, f"There is no tool {params.name[:60]!r}. Tools are: {', '.join(BY_NAME)}.")
    answer = await anyio.to_thread.run_sync(call, tool, params.arguments or {})
    # The protocol is UTF-8: what is no valid Unicode in the name of a file becomes `?`.
    text = json.dumps(answer.content, ensure_ascii=False).encode("utf-8", "replace").decode()
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=text)],
        structured_content=json.loads(text),
        is_error=answer.failed,
    )


def _tool_description(tool: AgentTool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.input_schema,
        output_schema=result_schema(tool.result_schema),
        annotations=types.ToolAnnotations(
            title=tool.title,
            read_only_hint=not tool.changes,
            destructive_hint=False,
            idempotent_hint=True,
            open_world_hint=tool.asks,
        ),
    )
