"""An agent: the client of the package `mcp`, which runs `flowhub mcp` as a process and calls its tools."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp_types import CallToolResult, Tool

SERVER = [sys.executable, "-m", "flowhub_jobs.cli.main", "mcp"]


class Agent:
    def __init__(self, portal: BlockingPortal, client: Client) -> None:
        self._portal, self._client = portal, client

    def tools(self) -> list[Tool]:
        return self._portal.call(self._client.list_tools).tools

    def result(self, name: str, /, **arguments: Any) -> CallToolResult:
        return self._portal.call(self._client.call_tool, name, arguments)

    def call(self, name: str, /, **arguments: Any) -> Any:
        """Return the structured result of a call that succeeds. The client has validated it with the output schema."""
        result = self.result(name, **arguments)
        assert not result.is_error, result.structured_content
        return result.structured_content

    def call_error(self, name: str, /, **arguments: Any) -> Any:
        """Return the structured result of a call that fails."""
        result = self.result(name, **arguments)
        assert result.is_error, result.structured_content
        return result.structured_content


@contextmanager
def start_agent(command: list[str] | None = None, mode: str = "auto") -> Iterator[Agent]:
    """Yield an agent whose server has this process' environment; `mode` "legacy" begins with `initialize`."""
    program, *arguments = command or SERVER
    server = StdioServerParameters(command=program, args=arguments, env=dict(os.environ))
    with start_blocking_portal() as portal:
        client = Client(stdio_client(server, errlog=sys.__stderr__), mode=mode)
        with portal.wrap_async_context_manager(client):
            yield Agent(portal, client)
