"""The `mcp` command: the client of the `mcp` package calls its tools over stdio of a real process."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mcp.shared.exceptions import MCPError
from support.agent import SERVER, Agent, start_agent
from support.app import App
from support.cli import fail_next_job, run_due_jobs, two_model_app
from support.models import gguf
from support.origin import Origin

from flowhub_jobs.database.engine import writing
from flowhub_jobs.errors import SourceMissing

A, B = gguf(4096, 1), gguf(8192, 2)
NAMES = [
    "search_models",
    "check_fit",
    "enqueue",
    "list_jobs",
    "job_status",
    "pause",
    "resume",
    "cancel",
    "retry",
    "list_installed",
    "model_path",
    "morning_report",
]


@pytest.fixture
def app(home: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """A home whose catalog has the models `a` and `b`, which `origin` serves."""
    with two_model_app(home, origin, monkeypatch, A, B) as app:
        yield app


@pytest.fixture
def agent(app: App) -> Iterator[Agent]:
    with start_agent() as agent:
        yield agent


def test_the_tools_are_listed_with_the_schemas_of_their_arguments_and_results(agent):
    tools = agent.tools()
    assert [tool.name for tool in tools] == NAMES
    for tool in tools:
        assert tool.description
        assert tool.input_schema["additionalProperties"] is False
        assert all(field["description"] for field in tool.input_schema["properties"].values())
        assert tool.output_schema["properties"]["schema"]["const"].startswith("flowhub/")
        assert tool.annotations.destructive_hint is False
    changing = {tool.name for tool in tools if not tool.annotations.read_only_hint}
    assert changing == {"enqueue", "pause", "resume", "cancel", "retry"}


def test_a_model_is_found_judged_queued_downloaded_and_its_path_returned(app, agent):
    [model] = agent.call("search_models", query="a", limit=1)["models"]
    assert model["best"] == "a@q4"
    [variant] = agent.call("check_fit", ref="a")["variants"]
    assert variant["fit"] in ("fits", "tight", "unknown")

    queued = agent.call("enqueue", refs=["a"])
    assert [job["state"] for job in queued["jobs"]] == ["queued"]
    assert queued["notes"] == ["No worker is running; start one with `flowhub worker`."]
    number = queued["jobs"][0]["id"]
    assert agent.call_error("model_path", ref="a")["error"]["code"] == "not_found"

    run_due_jobs(app)
    [job] = agent.call("job_status", job=number)["jobs"]
    assert (job["state"], job["sha256_state"]) == ("completed", "verified")
    assert job["events"]
    [model] = agent.call("list_installed")["models"]
    path = agent.call("model_path", ref="a")["path"]
    assert model["path"] == path
    assert Path(path).read_bytes() == A
    [completed] = agent.call("morning_report", since="1h")["came"]
    assert completed["job"] == number


def test_a_reference_that_is_already_queued_returns_its_job_and_a_note(agent):
    first = agent.call("enqueue", refs=["a"], tonight=True, group="night")["jobs"]
    second = agent.call("enqueue", refs=["b", "a"])
    assert second["jobs"][1] == first[0]
    assert f"Job {first[0]['id']}, a@q4, was there before; it is queued." in second["notes"]
    assert [job["id"] for job in agent.call("list_jobs", group="night")["jobs"]] == [first[0]["id"]]
    assert len(agent.call("list_jobs")["jobs"]) == 2


def test_jobs_are_paused_resumed_cancelled_and_retried(agent):
    number = agent.call("enqueue", refs=["a"])["jobs"][0]["id"]
    for verb, state in (("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled"), ("retry", "queued")):
        assert [job["state"] for job in agent.call(verb, jobs=[number])["jobs"]] == [state]


def test_no_tool_removes_a_model_or_a_partial_download(app, agent):
    """A cancelled job keeps its partial, and no call removes an installed model."""
    agent.call("enqueue", refs=["a"])
    run_due_jobs(app)
    number = agent.call("enqueue", refs=["b"])["jobs"][0]["id"]
    artifact = app.home.commands.artifact(number)
    partial = app.home.store.new_partial(artifact, app.home.node)
    partial.mkdir(parents=True)
    agent.call("cancel", jobs=[number])
    agent.call_error("cancel", jobs=[1])
    agent.call("enqueue", refs=["a"])
    assert partial.is_dir()
    assert [model["name"] for model in agent.call("list_installed")["models"]] == ["a.gguf"]
    arguments = {key for tool in agent.tools() for key in tool.input_schema["properties"]}
    assert not {name for name in arguments if name in ("purge", "remove", "delete", "path", "dest")}


def test_a_job_outlives_the_agent_and_its_server(app):
    """The next agent finds the job, which does not end with the server's process."""
    with start_agent() as first:
        number = first.call("enqueue", refs=["a"])["jobs"][0]["id"]
    run_due_jobs(app)
    with start_agent() as second:
        [job] = second.call("job_status", job=number)["jobs"]
        assert job["state"] == "completed"
        assert Path(second.call("model_path", ref="a")["path"]).read_bytes() == A


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_clients_of_each_protocol_version_are_served(app, mode):
    with start_agent(mode=mode) as agent:
        assert [tool.name for tool in agent.tools()] == NAMES
        assert agent.call("list_jobs")["jobs"] == []
        assert agent.call_error("job_status", job=7)["error"]["code"] == "not_found"


def test_jobs_are_in_postgresql_when_the_home_uses_it(home, origin, monkeypatch, postgres_url):
    monkeypatch.setenv("FLOWHUB_DATABASE_URL", postgres_url)
    url = origin.serve("a.gguf", A)
    with start_agent() as agent:
        number = agent.call("enqueue", refs=[url], tonight=True)["jobs"][0]["id"]
        assert [job["state"] for job in agent.call("cancel", jobs=[number])["jobs"]] == ["cancelled"]
        assert agent.call("job_status", job=number)["jobs"][0]["ref"] == url


def test_two_agents_share_the_queue(app, agent):
    with start_agent() as other:
        number = agent.call("enqueue", refs=["a"])["jobs"][0]["id"]
        other.call("pause", jobs=[number])
        assert agent.call("job_status", job=number)["jobs"][0]["state"] == "paused"


def test_a_failed_job_says_what_to_do(app, agent):
    number = agent.call("enqueue", refs=["a"])["jobs"][0]["id"]
    fail_next_job(app, number, SourceMissing("a.gguf is not there any more.", host="models.example"))
    page = agent.call("job_status", job=number)
    assert page["jobs"][0]["error"]["code"] == "source_missing"
    assert page["jobs"][0]["error"]["retryable"] is False
    assert page["notes"][0].startswith("a.gguf is not there any more.")
    [need] = agent.call("morning_report", since="1h")["needs_you"]
    assert need["job"] == number


REFUSED = [
    ("enqueue", {"refs": ["c"]}, "not_found", "'c'"),
    ("enqueue", {"refs": []}, "usage", "'refs' is an empty array"),
    ("enqueue", {"refs": ["a"], "at": "whenever"}, "usage", "whenever"),
    ("enqueue", {"refs": ["a"], "purge": True}, "usage", "'purge' is not a key"),
    ("enqueue", {"refs": ["a"], "place": ["dir:/etc"]}, "usage", "dir:/etc"),
    ("enqueue", {}, "usage", "no refs"),
    ("job_status", {"job": 999}, "not_found", "999"),
    ("job_status", {"job": "1"}, "usage", "an integer"),
    ("pause", {"jobs": [True]}, "usage", "an integer"),
    ("search_models", {"format": "exe"}, "usage", "exe"),
    ("search_models", {"limit": 0}, "usage", "limit is 0"),
    ("search_models", {"sort": "worst"}, "usage", "worst"),
    ("check_fit", {"ref": "a", "context": 0}, "usage", "context is 0"),
    ("list_jobs", {"state": "lost"}, "usage", "lost"),
    ("model_path", {"ref": "../../etc/passwd"}, "not_found", "passwd"),
    ("morning_report", {"since": "once"}, "usage", "once"),
]


def test_an_error_has_a_code_a_hint_and_whether_to_try_again(agent):
    """One server answers all calls: its start takes longer than all of them together."""
    for name, arguments, code, word in REFUSED:
        error = agent.call_error(name, **arguments)["error"]
        assert list(error) == ["code", "message", "hint", "retryable"]
        assert (error["code"], error["retryable"]) == (code, False), (name, arguments)
        assert word in error["message"]


def test_of_several_jobs_the_possible_ones_are_changed_and_the_others_have_errors(agent):
    number = agent.call("enqueue", refs=["a"])["jobs"][0]["id"]
    page = agent.call_error("pause", jobs=[number, 999])
    assert [(job["id"], job["state"]) for job in page["jobs"]] == [(number, "paused")]
    assert page["error"]["code"] == "some_failed"
    assert [(failure["job"], failure["error"]["code"]) for failure in page["failed"]] == [(999, "not_found")]
    assert agent.call_error("resume", jobs=[999])["error"]["code"] == "not_found"


def test_a_tool_that_does_not_exist_is_an_error_of_the_protocol(agent):
    with pytest.raises(MCPError, match="There is no tool 'rm'"):
        agent.result("rm", name="a.gguf")


def test_a_result_is_the_json_of_the_verb(agent, cli):
    agent.call("enqueue", refs=["a"], at="+3h")
    for tool, verb in (("list_jobs", "status"), ("list_installed", "list"), ("search_models", "search")):
        page = agent.call(tool)
        del page["notes"]
        printed = cli(verb, "--json").json
        if tool == "list_installed":
            _drop_free(page)
            _drop_free(printed)
        assert page == printed


def test_the_text_of_a_result_is_the_same_json(agent):
    result = agent.result("list_jobs")
    assert json.loads(result.content[0].text) == result.structured_content


def test_a_file_whose_name_is_no_unicode_is_listed(app, agent):
    app.home.open_store()
    (Path(os.fsdecode(os.fsencode(app.home.store.root) + b"/\xff.gguf"))).write_bytes(A)
    assert [model["name"] for model in agent.call("list_installed")["models"]] == ["?.gguf"]


def test_a_home_that_cannot_be_used_is_a_result_with_its_error(home, tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("FLOWHUB_HOME", str(blocked / "home"))
    monkeypatch.setenv("FLOWHUB_LOG_FORMAT", "plain")
    with start_agent() as agent:
        assert agent.call_error("list_jobs")["error"]["code"] == "home_unusable"


def test_output_of_a_tool_goes_to_stderr_and_a_bug_is_an_error_with_a_code(app):
    """stdout belongs to the protocol: the client would fail at any other line."""
    program = (
        "import sys\n"
        "from flowhub_jobs.mcp import calls\n"
        "def broken(*_):\n"
        "    print('no JSON', flush=True); raise RuntimeError('broken call')\n"
        "calls.check_arguments = broken\n"
        "from flowhub_jobs.cli.entry import main; sys.argv = ['flowhub', 'mcp']; main()"
    )
    with start_agent([sys.executable, "-c", program]) as agent:
        error = agent.call_error("list_jobs")["error"]
    assert error["code"] == "internal"
    assert "broken call" in error["message"]


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (None, 0)])
def test_it_ends_with_stdin_and_at_a_signal(home, signum, status):
    params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    request = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
    with subprocess.Popen(SERVER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as server:
        server.stdin.write(json.dumps(request).encode() + b"\n")
        server.stdin.flush()
        answer = json.loads(server.stdout.readline())
        assert answer["result"]["serverInfo"]["name"] == "flowhub"
        if signum is None:
            server.stdin.close()
        else:
            server.send_signal(signum)
        assert server.wait(60) == status
        assert server.stdout.read() == b""
        assert b"Traceback" not in server.stderr.read()


def test_without_its_package_it_says_what_to_install(home):
    program = "import sys; sys.modules['mcp_types'] = None; from flowhub_jobs.cli.entry import main; main()"
    process = subprocess.run(
        [sys.executable, "-c", program, "mcp"], capture_output=True, text=True, env=os.environ, timeout=60
    )
    assert process.returncode == 1
    assert "pip install 'flowhub[mcp]'" in process.stderr
    assert process.stdout == ""


def test_other_verbs_do_not_import_it(home):
    program = "import sys; from flowhub_jobs.cli.main import run; run(['--help']); run(['status', '--json']); "
    program += "print([name for name in sys.modules if name.startswith(('mcp', 'anyio', 'flowhub_jobs.mcp'))])"
    process = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=os.environ, timeout=60
    )
    assert process.stdout.splitlines()[-1] == "[]"


@pytest.fixture
def node_agent(
    home: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch, postgres_url: str
) -> Iterator[tuple[App, Agent]]:
    """An agent on a machine whose database has another node, gpu-01."""
    monkeypatch.setenv("FLOWHUB_DATABASE_URL", postgres_url)
    monkeypatch.setenv("FLOWHUB_NODE", "desk")
    with two_model_app(home, origin, monkeypatch, A, B) as app:
        with writing(app.home.engine) as tx:
            app.home.of_nodes(("gpu-01",)).registry.register(tx, "host-gpu-01", "/models", "1")
        with start_agent() as agent:
            yield app, agent


def test_an_agent_queues_on_another_node_and_reads_it(node_agent):
    _, agent = node_agent
    queued = agent.call("enqueue", refs=["a"], on="gpu-01")
    assert [(job["ref"], job["node"]) for job in queued["jobs"]] == [("a@q4", "gpu-01")]
    assert [note for note in queued["notes"] if "No worker runs" in note] == [
        "No worker runs on gpu-01: the jobs there wait until one starts."
    ]
    assert agent.call("list_jobs")["jobs"] == []
    for node in ("gpu-01", "all"):
        assert [job["id"] for job in agent.call("list_jobs", node=node)["jobs"]] == [1]
    assert agent.call("list_installed", node="gpu-01")["store"]["path"] == "/models"
    assert agent.call("morning_report", node="gpu-01")["node"] == "gpu-01"
    for tool in ("list_jobs", "list_installed", "morning_report"):
        assert agent.call_error(tool, node="gpu-3")["error"]["code"] == "not_found"


def _drop_free(page):
    """Remove the free bytes of the disk, which change between two calls."""
    for store in (page["store"], *page["stores"]):
        del store["free"]
