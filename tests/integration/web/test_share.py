"""`--share`: installed models in the catalog's shape and in the Hub's, read by the programs that people use."""

import hashlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from support.cli import cli_app, run_command, run_due_jobs
from support.hub import commit_of
from support.models import gguf, mlx_folder, one_file_model
from support.problems import assert_problem
from support.web import web_server

A, B = gguf(4096, 1), gguf(3 << 20, 2)
FOLDER = mlx_folder()
REPO, MLX = "owner/Some-Model-GGUF", "owner/some-model-mlx"
FILE = "some-model-q4_k_m.gguf"
RESOLVE = f"/{REPO}/resolve/main/{FILE}"


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def node(home, hub, origin, monkeypatch):
    """A home with a file of 3 MiB and a folder of the Hub, and the model `a` of a catalog."""
    for path, content in FOLDER.items():
        hub.add(MLX, path, content, lfs=path.endswith(".safetensors"))
    hub.add(REPO, FILE, B)
    origin.serve("a.gguf", A)
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    with cli_app(home, monkeypatch, one_file_model("a", origin.url("a.gguf"), A)) as app:
        for ref in (f"hf:{REPO}:Q4_K_M", f"hf:{MLX}", "a"):
            app.enqueue(ref)
            run_due_jobs(app)
        assert len(app.home.store.models()) == 3
        yield app


@pytest.fixture
def web(node):
    with web_server(node.settings, share=True) as web:
        yield web


@pytest.fixture
def client(web):
    """A client without a token: on the loopback it needs none."""
    return web.anonymous


# The Hub's shape -----------------------------------------------------------------------------------------------------


def test_a_repository_has_the_commit_that_it_has_on_the_hub(client):
    for path in (f"/api/models/{REPO}", f"/api/models/{REPO}/revision/main", f"/api/models/{REPO.lower()}"):
        page = client.get(path).json()
        assert (page["id"], page["sha"]) == (REPO, commit_of(REPO, "main"))
        assert page["siblings"] == [{"rfilename": FILE}]
    blobs = client.get(f"/api/models/{REPO}", params={"blobs": "true"}).json()["siblings"]
    assert blobs[0]["lfs"]["sha256"] == sha256(B)


def test_the_tree_has_sizes_and_ids_as_the_hub_has_them(client, hub):
    commit = commit_of(MLX, "main")
    here = client.get(f"/api/models/{MLX}/tree/{commit}", params={"recursive": "true"}).json()

    there = httpx.get(
        f"{hub.endpoint}/api/models/{MLX}/tree/main", params={"recursive": "true"}, trust_env=False
    ).json()
    assert sorted(here, key=lambda one: one["path"]) == sorted(there, key=lambda one: one["path"])


def test_refs_name_the_branch(client):
    branches = client.get(f"/api/models/{REPO}/refs").json()["branches"]
    assert branches == [{"name": "main", "ref": "refs/heads/main", "targetCommit": commit_of(REPO, "main")}]


def test_repositories_are_listed_and_searched(client):
    assert {one["id"] for one in client.get("/api/models").json()} == {REPO, MLX, "flowhub/a"}
    assert [one["id"] for one in client.get("/api/models", params={"search": "gguf"}).json()] == [REPO]


def test_a_file_is_sent_whole_with_the_hubs_headers(client):
    for method in ("GET", "HEAD"):
        response = client.request(method, RESOLVE)
        assert response.status_code == 200
        assert response.content == (B if method == "GET" else b"")
        headers = response.headers
        assert headers["content-length"] == str(len(B))
        assert headers["x-repo-commit"] == commit_of(REPO, "main")
        assert headers["etag"] == headers["x-linked-etag"] == f'"{sha256(B)}"'
        assert headers["x-linked-size"] == str(len(B))
        assert headers["accept-ranges"] == "bytes"
        assert headers["content-type"] == "application/octet-stream"
        assert "x-xet-hash" not in headers


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [("0-9", 0, 10), ("5-", 5, None), ("-7", -7, None), ("100-99999999999", 100, None), (f"{len(B) - 1}-", -1, None)],
)
def test_a_range_is_sent_alone(client, asked, start, end):
    response = client.get(RESOLVE, headers={"Range": f"bytes={asked}"})
    assert response.status_code == 206
    assert response.content == B[start:end]
    first = start % len(B) if start < 0 else start
    assert response.headers["content-range"] == f"bytes {first}-{first + len(response.content) - 1}/{len(B)}"


@pytest.mark.parametrize("asked", [f"bytes={len(B)}-", "bytes=-0"])
def test_a_range_without_a_byte_is_416(client, asked):
    response = client.get(RESOLVE, headers={"Range": asked})
    assert response.status_code == 416
    assert response.headers["content-range"] == f"bytes */{len(B)}"


@pytest.mark.parametrize("asked", ["lines=1-2", "bytes=9-1", "bytes=x", "bytes=-", "bytes=0-1,5-6", ""])
def test_a_range_that_is_not_understood_is_the_whole_file(client, asked):
    response = client.get(RESOLVE, headers={"Range": asked})
    assert (response.status_code, len(response.content)) == (200, len(B))


def test_conditional_requests_are_obeyed(client):
    etag = f'"{sha256(B)}"'
    assert client.get(RESOLVE, headers={"If-None-Match": etag}).status_code == 304
    assert client.get(RESOLVE, headers={"If-None-Match": f'"x", W/{etag}'}).status_code == 304
    assert client.get(RESOLVE, headers={"If-None-Match": '"x"'}).status_code == 200
    assert client.get(RESOLVE, headers={"If-Match": '"x"'}).status_code == 412
    assert client.get(RESOLVE, headers={"If-Range": etag, "Range": "bytes=0-0"}).status_code == 206
    assert client.get(RESOLVE, headers={"If-Range": '"x"', "Range": "bytes=0-0"}).status_code == 200


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (f"/{REPO}/resolve/main/none.gguf", "EntryNotFound"),
        (f"/{REPO}/resolve/other/{FILE}", "RevisionNotFound"),
        (f"/{REPO}/resolve/{'0' * 40}/{FILE}", "RevisionNotFound"),
        (f"/owner/none/resolve/main/{FILE}", "RepoNotFound"),
        (f"/datasets/{REPO}/resolve/main/{FILE}", "RepoNotFound"),
        ("/api/models/owner/none", "RepoNotFound"),
        (f"/api/models/{REPO}/tree/none", "RevisionNotFound"),
        (f"/{REPO}/resolve/main/..%2f..%2fflowhub.db", "EntryNotFound"),
        (f"/{REPO}/resolve/main/%2e%2e/%2e%2e/flowhub.db", "EntryNotFound"),
        (f"/{REPO}/resolve/main//etc/passwd", "EntryNotFound"),
    ],
)
def test_what_is_not_there_is_404_in_the_hubs_words(client, path, code):
    response = client.get(path)
    assert response.status_code == 404
    assert response.headers["x-error-code"] == code


def test_only_what_is_as_it_was_verified_is_shared(client, node, cli):
    (node.store / "by-hand.gguf").write_bytes(A)
    (node.store / ".partial").mkdir(exist_ok=True)
    assert {one["id"] for one in client.get("/api/models").json()} == {REPO, MLX, "flowhub/a"}
    assert client.get(RESOLVE).status_code == 200
    (node.store / FILE).write_bytes(B[:-1] + b"x")
    assert client.get(RESOLVE).status_code == 404, "changed by hand since"
    assert cli("rm", "a.gguf", "-y").status == 0
    assert client.get("/flowhub/a/resolve/main/a.gguf").status_code == 404


@pytest.mark.parametrize(
    "path", ["/models/a/resolve/x", "/models/a/resolve/", "/models/a", "/datasets/a", "/installed", "/api/v1/jobs", "/"]
)
def test_nothing_else_is_open_with_it(client, path):
    assert_problem(client.get(path), 401, "sign_in_required")


def test_the_share_is_read_only(client):
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert client.request(method, RESOLVE).status_code in (401, 405)
        assert client.request(method, f"/api/models/{REPO}").status_code in (401, 405)


# The catalog's shape -------------------------------------------------------------------------------------------------


def test_the_catalog_names_what_is_shared_with_addresses_of_its_own(client, web, tmp_path, cli):
    page = client.get("/catalog.json").json()
    assert page["apiVersion"] == "v1"
    path = tmp_path / "shared.json"
    path.write_text(json.dumps(page))
    assert cli("catalog", "validate", path).status == 0
    options = {model["id"]: model["downloads"] for model in page["models"]}
    [single] = options["a"]
    assert (single["id"], single["sha256"], single["filename"]) == ("q4", sha256(A), "a.gguf")
    assert single["url"].startswith(f"{web.serving.base}/")
    assert client.get(single["url"]).content == A
    folder = next(option for downloads in options.values() for option in downloads if "files" in option)
    assert {file["path"]: client.get(file["url"]).content for file in folder["files"]} == FOLDER


# A server for other machines -----------------------------------------------------------------------------------------


def test_at_an_address_of_the_network_the_share_needs_a_token(node):
    with web_server(node.settings, share=True, host="0.0.0.0") as web:
        assert_problem(web.anonymous.get(RESOLVE), 401, "sign_in_required")
        assert_problem(web.anonymous.get("/catalog.json"), 401, "sign_in_required")
        assert web.api_client.get(RESOLVE).status_code == 200
        token = web.serving.share_token_file.read_text().strip()
        reader = web.client(headers={"Authorization": f"Bearer {token}"})
        assert reader.get(RESOLVE).status_code == 200
        assert_problem(reader.get("/api/v1/jobs"), 401, "sign_in_required")
        assert web.serving.share_token_file.stat().st_mode & 0o777 == 0o600


def test_without_share_nothing_of_it_is_there(node):
    with web_server(node.settings) as web:
        assert_problem(web.anonymous.get(RESOLVE), 401, "sign_in_required")
        assert_problem(web.api_client.get(RESOLVE), 404, "not_found")
        assert_problem(web.api_client.get("/catalog.json"), 404, "not_found")


# Real clients --------------------------------------------------------------------------------------------------------


def hub_client(web, tmp_path, *command, **environ):
    """Run a api_client of huggingface_hub against the share; return its stdout."""
    values = {
        "HF_ENDPOINT": web.serving.base,
        "HF_HOME": str(tmp_path / "hf-home"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PATH": str(Path(sys.executable).parent),
        "HOME": str(tmp_path),
    }
    done = subprocess.run(command, env=values | environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def files_below(folder):
    hidden = {".cache"}
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not hidden & set(path.relative_to(folder).parts)
    }


def test_hf_download_gets_a_repository_and_one_file(web, tmp_path):
    hf = Path(sys.executable).with_name("hf")
    hub_client(web, tmp_path, hf, "download", MLX, "--local-dir", str(tmp_path / "mlx"))
    assert files_below(tmp_path / "mlx") == FOLDER
    hub_client(web, tmp_path, hf, "download", REPO, FILE, "--local-dir", str(tmp_path / "one"))
    assert files_below(tmp_path / "one") == {FILE: B}


def test_snapshot_download_fills_the_cache_under_the_hubs_commit(web, tmp_path):
    api_client = f"import huggingface_hub; print(huggingface_hub.snapshot_download({MLX!r}))"
    snapshot = Path(hub_client(web, tmp_path, sys.executable, "-c", api_client).splitlines()[-1])
    assert snapshot.name == commit_of(MLX, "main")
    assert files_below(snapshot) == FOLDER


def test_the_hubs_file_system_lists_and_reads(web, tmp_path):
    api_client = f"""
from huggingface_hub import HfFileSystem
files = HfFileSystem()
print(sorted(files.ls({MLX!r}, detail=False)), files.info("{MLX}/config.json")["size"])
assert files.cat("{MLX}/config.json") == {FOLDER["config.json"]!r}
"""
    said = hub_client(web, tmp_path, sys.executable, "-c", api_client)
    assert said == f"{sorted(f'{MLX}/{path}' for path in FOLDER)} {len(FOLDER['config.json'])}"


def test_a_data_set_is_shared_as_one(web, node, hub, tmp_path):
    for path in ("train.csv", "data/test.csv"):
        hub.add("datasets/owner/numbers", path, f"{path}\n".encode(), lfs=False)
    node.enqueue("hf:datasets/owner/numbers")
    run_due_jobs(node)
    hf = Path(sys.executable).with_name("hf")
    folder = tmp_path / "numbers"
    hub_client(web, tmp_path, hf, "download", "owner/numbers", "--repo-type", "dataset", "--local-dir", str(folder))
    assert files_below(folder) == {"train.csv": b"train.csv\n", "data/test.csv": b"data/test.csv\n"}


def test_many_readers_at_once_each_get_every_byte(web):
    def digest(_):
        with httpx.stream("GET", f"{web.serving.base}{RESOLVE}", timeout=60, trust_env=False) as response:
            running = hashlib.sha256()
            for chunk in response.iter_bytes():
                running.update(chunk)
        return running.hexdigest()

    with ThreadPoolExecutor(64) as pool:
        assert set(pool.map(digest, range(64))) == {sha256(B)}


def test_hf_sends_its_token_to_a_server_that_demands_one(node, tmp_path):
    with web_server(node.settings, share=True, host="0.0.0.0") as web:
        hf, token = Path(sys.executable).with_name("hf"), web.serving.share_token_file.read_text().strip()
        hub_client(web, tmp_path, hf, "download", REPO, FILE, "--local-dir", str(tmp_path / "one"), HF_TOKEN=token)
    assert files_below(tmp_path / "one") == {FILE: B}


@pytest.mark.parametrize("ref", [f"hf:{REPO}:Q4_K_M", f"hf:{MLX}"])
def test_another_flowhub_downloads_it_as_from_the_hub(web, tmp_path, ref):
    environ = {"FLOWHUB_HOME": str(tmp_path / "other"), "HF_ENDPOINT": web.serving.base}
    assert run_command("enqueue", ref, "--check", **environ).status == 0
    assert run_command("worker", "--drain", **environ).status == 0
    [model] = run_command("list", "--json", **environ).json["models"]
    assert model["condition"] == "ok"
    place = Path(model["path"])
    assert (files_below(place) if place.is_dir() else place.read_bytes()) == (FOLDER if place.is_dir() else B)


def test_the_main_branch_of_a_model_of_a_catalog_has_the_files_of_all_its_options(home, origin, monkeypatch, tmp_path):
    """Clients list the branch first, and find only the files in that list."""
    small, large = gguf(4096, 1), gguf(8192, 2)
    options = [
        one_file_model("m", origin.serve(f"{option}.gguf", content), content, option=option)
        for option, content in (("q4", small), ("q8", large))
    ]
    with cli_app(home, monkeypatch, *options) as app:
        for option in ("q4", "q8"):
            app.enqueue(f"m@{option}")
            run_due_jobs(app)
        with web_server(app.settings, share=True) as web:
            tree = {file["path"]: file["oid"] for file in web.anonymous.get("/api/models/flowhub/m/tree/main").json()}
            page = web.anonymous.get("/api/models/flowhub/m").json()
            [model] = web.anonymous.get("/catalog.json").json()["models"]
            assert tree.keys() == {file["rfilename"] for file in page["siblings"]} == {"q4.gguf", "q8.gguf"}
            head = web.anonymous.head("/flowhub/m/resolve/main/q4.gguf")
            assert head.headers["x-repo-commit"] == page["sha"]
            for option in model["downloads"]:
                assert web.anonymous.get(option["url"]).content in (small, large)
            hf = Path(sys.executable).with_name("hf")
            hub_client(web, tmp_path, hf, "download", "flowhub/m", "--local-dir", str(tmp_path / "both"))
            environ = {"FLOWHUB_HOME": str(tmp_path / "other"), "HF_ENDPOINT": web.serving.base}
            assert run_command("enqueue", "hf:flowhub/m/q4.gguf", **environ).status == 0
    assert files_below(tmp_path / "both") == {"q4.gguf": small, "q8.gguf": large}


def test_another_flowhub_downloads_by_the_catalog(web, tmp_path):
    environ = {"FLOWHUB_HOME": str(tmp_path / "other"), "FLOWHUB_CATALOG": f"{web.serving.base}/catalog.json"}
    assert run_command("enqueue", "a", **environ).status == 0
    assert run_command("worker", "--drain", **environ).status == 0
    [job] = run_command("status", "1", "--json", **environ).jobs
    assert (job["state"], job["sha256_state"]) == ("completed", "verified")
    assert (tmp_path / "other" / "llms" / "a.gguf").read_bytes() == A


def test_a_reader_that_stopped_half_way_resumes(client):
    half = len(B) // 2
    with client.stream("GET", RESOLVE) as response:
        kept = b""
        for chunk in response.iter_bytes(64 << 10):
            kept += chunk
            if len(kept) >= half:
                break
    headers = {"Range": f"bytes={len(kept)}-", "If-Range": response.headers["etag"]}
    rest = client.get(RESOLVE, headers=headers)
    assert rest.status_code == 206
    assert sha256(kept + rest.content) == sha256(B)
