"""The tab Installed and the metrics of a node with several stores."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect
from support.app import App, app_of
from support.browser import Visitor
from support.models import gguf, one_file_model
from support.origin import Origin
from support.web import metrics_of

from flowhub_jobs.store.space import device_of

A, B = gguf(4096, 1), gguf(8192, 2)
MEMORY = Path("/dev/shm")


@pytest.fixture
def fast(tmp_path: Path) -> Iterator[Path]:
    """A folder on another disk than the default store."""
    if not MEMORY.is_dir() or device_of(MEMORY) == device_of(tmp_path):
        pytest.skip("needs a second file system at /dev/shm")
    folder = Path(tempfile.mkdtemp(dir=MEMORY))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def app(home: Path, origin: Origin, fast: Path) -> Iterator[App]:
    """Two models of one file name: `a` in the default store, `b` in the store fast."""
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text(
        f'[stores]\nfast = {{path = "{fast}", reserve = "5KB"}}\nnear = "{home / "near"}"\n'
    )
    models = [
        one_file_model(name, origin.serve(f"/{name}.gguf", content), content, filename="m.gguf")
        for name, content in (("a", A), ("b", B))
    ]
    with app_of(home, *models) as app:
        for name, store in (("a", "default"), ("b", "fast")):
            app.enqueue(name, store=store)
            app.run_next_job()
        yield app


def row(page: Page, name: str):
    return page.locator(".inst tbody tr", has=page.get_by_text(name, exact=True))


def test_each_disk_is_a_picture_that_names_its_stores(visitor_without_javascript: Visitor, app: App, fast: Path):
    page = visitor_without_javascript.open("/installed")
    first, second = (one.get_attribute("aria-label") or "" for one in page.get_by_role("img", name="Disk of").all())
    assert f"default ({app.store}), near" in first
    assert "models 4.1 KB" in first
    assert f"fast ({fast})" in second
    assert "models 8.2 KB" in second
    expect(page.locator(".head")).to_contain_text("2 models, 12.3 KB in 3 stores")


def test_the_actions_of_a_row_are_for_the_model_of_its_store(visitor_without_javascript: Visitor, app: App, fast: Path):
    page = visitor_without_javascript.open("/installed")
    expect(row(page, "B")).to_contain_text("store fast")
    row(page, "B").get_by_role("button", name="Verify").click()
    expect(page.locator(".notice")).to_contain_text("B will be verified")
    expect(row(page, "B")).to_contain_text("Verify is queued")
    expect(row(page, "A").get_by_role("button", name="Verify")).to_be_visible()
    app.run_next_job()
    page.goto(page.url)
    row(page, "B").get_by_role("link", name="Remove").click()
    page.get_by_role("button", name="Remove").click()
    expect(page.locator(".notice")).to_contain_text("removed")
    assert (app.store / "m.gguf").read_bytes() == A
    assert not (fast / "m.gguf").exists()


def test_a_store_that_is_offline_is_named(visitor_without_javascript: Visitor, app: App, fast: Path):
    away = fast.rename(fast.with_name(f"{fast.name}.away"))
    try:
        page = visitor_without_javascript.open("/installed")
        expect(page.locator(".hint")).to_contain_text(f"The store {fast} is offline")
        expect(row(page, "B")).to_contain_text("Its disk is away")
        assert page.get_by_role("img", name="Disk of").count() == 1
    finally:
        away.rename(fast)


def test_the_reserve_of_each_store_is_shown(visitor_without_javascript: Visitor, app: App, fast: Path):
    kept = visitor_without_javascript.open("/machine").get_by_role("region", name="Reserve")
    expect(kept).to_contain_text("Disk of the store default")
    expect(kept).to_contain_text("Disk of the store fast5.0 KB")


def test_metrics_count_each_disk_by_a_number_and_the_models_of_all_stores(web, app: App, fast: Path):
    app.enqueue("b", store="fast", force=True)
    found = metrics_of(web)
    assert found["flowhub_installed_models",] == 2
    assert (found["flowhub_disk_promised_bytes", "1"], found["flowhub_disk_promised_bytes", "2"]) == (0, len(B))
    assert found["flowhub_disk_free_bytes", "2"] <= shutil.disk_usage(fast).total
    assert ("flowhub_disk_free_bytes", "3") not in found
    assert str(fast) not in web.anonymous.get("/metrics").text


def test_the_api_removes_the_model_of_the_store_that_is_named(api_client: httpx.Client, app: App, fast: Path):
    assert api_client.delete("/api/v1/installed/fast:m.gguf").status_code == 200
    assert (app.store / "m.gguf").exists()
    assert not (fast / "m.gguf").exists()
