"""One walk through the pages as a user takes it, with a real worker and a real origin."""

import pytest
from playwright.sync_api import expect
from support.models import gguf_pattern, one_file_model

from flowhub_jobs.values.enums import State

pytestmark = pytest.mark.timeout(300)
MIB = 1 << 20


def test_from_the_search_to_installed_and_removed(visitor, app, origin):
    content = gguf_pattern(24 * MIB, 7)
    model = one_file_model("walker", origin.serve("walker.gguf", content), content, quantization="Q4_K_M")
    app.set_models(model | {"name": "Walker 1B", "parameters": "1B", "tags": ["chat"]})
    app.start_worker("--limit-rate", "8M")
    page = visitor.open("/discover")
    page.get_by_role("searchbox").fill("walk")
    expect(page.locator(".found")).to_contain_text("1 of 1 models")
    page.get_by_role("link", name="Walker 1B").click()
    expect(page.locator(".variants .fit")).to_have_text("Fits")
    page.get_by_role("button", name="Queue now").click()
    expect(page.get_by_text("Walker 1B is queued.")).to_be_visible()

    page.get_by_role("link", name="Queue", exact=True).click()
    [job] = app.home.queries.all()
    running = page.locator(f".jobs #job-{job.id}")
    expect(running).to_contain_text("MB/s")
    expect(running.locator(".spark polyline")).to_be_attached()
    running.get_by_role("button", name="Pause").click()
    expect(page.locator(f".waits #job-{job.id}")).to_contain_text("Paused by you")
    page.get_by_role("button", name="Resume Walker 1B").click()
    expect(running).to_be_visible()
    expect(page).to_have_title("Queue · flowhub", timeout=60_000)  # without its progress: all is done
    expect(page.locator(f".ends #job-{job.id}")).to_contain_text("Completed")
    assert app.job(job.id).state is State.COMPLETED

    page.get_by_role("link", name="Installed", exact=True).click()
    row = page.locator(".inst tbody tr", has_text="Walker 1B")
    expect(row).to_contain_text("Verified")
    row.get_by_role("button", name="Verify").click()
    expect(page.locator(".notice")).to_contain_text("will be verified")
    expect(row).to_contain_text("Verified")
    row.get_by_role("link", name="Remove").click()
    page.get_by_role("button", name="Remove, free 25.2 MB").click()
    expect(page.get_by_text("Nothing is installed yet.")).to_be_visible()
    assert not (app.store / "walker.gguf").exists()
