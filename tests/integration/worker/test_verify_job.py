"""The `verify` command: it reads installed models again, finds damage, and repairs the damaged pieces."""

import os
import signal

import pytest
from support.cli import cli_app, run_command, run_due_jobs, start_command
from support.disk_files import flip_byte
from support.models import folder_model, gguf, mlx_folder, one_file_model

from flowhub_jobs.database.engine import writing
from flowhub_jobs.database.tables import artifact_files, artifact_pieces
from flowhub_jobs.operations.library_jobs import LibraryJobs
from flowhub_jobs.store.verification_records import VerificationRecords
from flowhub_jobs.values.enums import JobKind, State

MIB = 1 << 20
BIG = gguf(5 * MIB + 1234, 1)
SMALL = gguf(4096, 2)


@pytest.fixture
def app(home, origin, monkeypatch):
    """A store with a file of six pieces, a small one, and a folder."""
    files = {path: (origin.serve(f"/c/{path}", data), data) for path, data in mlx_folder().items()}
    models = [
        one_file_model("big", origin.serve("/big.gguf", BIG), BIG),
        one_file_model("small", origin.serve("/small.gguf", SMALL), SMALL),
        folder_model("c", files),
    ]
    with cli_app(home, monkeypatch, *models) as app:
        for model in ("big", "small", "c"):
            app.enqueue(model)
        run_due_jobs(app)
        yield app


class NewRequests:
    """The requests that an origin received since this object was created."""

    def __init__(self, origin):
        self.origin, self.before = origin, len(origin.requests())

    @property
    def paths(self):
        return {request.path for request in self.origin.requests()[self.before :]}

    @property
    def bytes(self):
        return sum(request.bytes_sent for request in self.origin.requests()[self.before :])


@pytest.fixture
def new_requests(app, origin):
    return NewRequests(origin)


def test_an_undamaged_model_is_ok_and_status_shows_the_job_that_read_it(cli, app):
    page = cli("verify", "--json").json
    assert page["schema"] == "flowhub/verify/1"
    assert [(model["name"], model["state"]) for model in page["models"]] == [
        ("big.gguf", "ok"),
        ("c-mlx-4bit", "ok"),
        ("small.gguf", "ok"),
    ]
    jobs = {job["id"]: job for job in cli("status", "--json").jobs}
    verifications = [jobs[model["job"]] for model in page["models"]]
    assert {(job["kind"], job["state"], job["sha256_state"]) for job in verifications} == {
        ("verify", "completed", "verified")
    }
    assert verifications[0]["bytes_done"] == verifications[0]["bytes_total"] == len(BIG)


def test_a_verification_updates_the_time_of_that_model_alone(cli, app):
    before = {model["name"]: model["verified_at"] for model in cli("list", "--json").json["models"]}
    cli("verify", "big")
    after = {model["name"]: model["verified_at"] for model in cli("list", "--json").json["models"]}
    assert after["big.gguf"] > before["big.gguf"]
    assert after["small.gguf"] == before["small.gguf"]


def test_a_byte_that_was_flipped_on_the_disk_is_found_in_its_piece(cli, app):
    flip_byte(app.store / "big.gguf", 2 * MIB + 5)
    result = cli("verify", "big")
    assert result.status == 8
    assert f"bytes {2 * MIB:,}-{3 * MIB - 1:,}" in result.err
    assert "flowhub verify big.gguf --repair" in result.err
    assert app.home.queries.all()[-1].state is State.FAILED


@pytest.mark.parametrize("at", [100, 2 * MIB + 5, 5 * MIB + 1000], ids=["first piece", "middle", "the end"])
def test_a_repair_fetches_only_the_pieces_that_differ(cli, app, new_requests, at):
    flip_byte(app.store / "big.gguf", at)
    [model] = cli("verify", "big", "--repair", "--json").json["models"]
    assert model["state"] == "repaired"
    assert (app.store / "big.gguf").read_bytes() == BIG
    piece = min(MIB, len(BIG) - at // MIB * MIB)
    assert new_requests.bytes == piece == model["bytes_fetched"]
    assert cli("verify", "big").status == 0
    assert app.leftover_partials() == []


def test_a_small_damaged_file_is_fetched_again_and_the_rest_of_its_folder_is_not(cli, app, new_requests):
    path, data = max(mlx_folder().items(), key=lambda item: len(item[1]))
    flip_byte(app.store / "c-mlx-4bit" / path, len(data) // 2)
    assert cli("verify", "c").status == 8
    [model] = cli("verify", "c", "--repair", "--json").json["models"]
    assert model["state"] == "repaired"
    assert new_requests.paths == {f"/c/{path}"}
    assert (app.store / "c-mlx-4bit" / path).read_bytes() == data


def test_the_damaged_file_keeps_its_name_until_the_repaired_one_is_verified(cli, app, origin):
    path = app.store / "big.gguf"
    flip_byte(path, 100)
    damaged = path.read_bytes()
    origin.remove("/big.gguf")
    result = cli("verify", "big", "--repair")
    assert result.status == 5
    assert path.read_bytes() == damaged


def test_only_the_missing_end_of_a_truncated_file_is_fetched(cli, app, new_requests):
    os.truncate(app.store / "big.gguf", 3 * MIB)
    assert f"is {3 * MIB:,} bytes long and was installed with {len(BIG):,}" in cli("verify", "big").error_text
    assert cli("verify", "big", "--repair").status == 0
    assert (app.store / "big.gguf").read_bytes() == BIG
    assert new_requests.bytes == len(BIG) - 3 * MIB


def test_a_file_that_has_grown_is_repaired_without_a_request(cli, app, new_requests):
    with (app.store / "big.gguf").open("ab") as file:
        file.write(b"more")
    assert cli("verify", "big").status == 8
    assert cli("verify", "big", "--repair").status == 0
    assert (app.store / "big.gguf").read_bytes() == BIG
    assert new_requests.paths == set()


def test_a_file_of_which_only_the_time_changed_is_not_damaged(cli, app):
    os.utime(app.store / "small.gguf", ns=(1, 1))
    assert cli("verify", "small", "--fast").status == 8
    assert cli("verify", "small").status == 0
    assert cli("verify", "small", "--fast").status == 0


def test_verify_fast_reads_no_bytes_and_creates_no_job(cli, app):
    count = len(app.home.queries.all())
    flip_byte(app.store / "small.gguf", 9)
    [model] = cli("verify", "small", "--fast", "--json").json["models"]
    assert (model["state"], model["job"]) == ("unchanged", None)
    assert len(app.home.queries.all()) == count


def test_of_several_models_the_damaged_one_is_named_and_the_exit_status_is_partial_failure(cli, app):
    flip_byte(app.store / "small.gguf", 9)
    result = cli("verify")
    assert result.status == 10
    assert "small.gguf: damaged" in result.out
    assert "big.gguf: ok" in result.out


def test_verify_refuses_files_put_there_by_hand(cli, app):
    (app.store / "hand.gguf").write_bytes(SMALL)
    assert "hand.gguf" in cli("verify").err
    result = cli("verify", "hand.gguf")
    assert result.status == 3
    assert "flowhub adopt" in result.error_text


def test_with_later_a_worker_verifies_the_model(cli, app):
    result = cli("verify", "big", "--later")
    assert "verify big@q4, 5.2 MB, queued" in result.out
    assert result.err == "No worker is running; start one with `flowhub worker`.\n"
    flip_byte(app.store / "big.gguf", 100)
    run_due_jobs(app)
    job = app.home.queries.all()[-1]
    assert (job.kind, job.state, job.error["code"]) == (JobKind.VERIFY, State.FAILED, "digest_mismatch")


@pytest.mark.parametrize("options", [[], ["--later"]], ids=["here", "later"])
def test_verify_of_an_empty_store_prints_one_line(cli, app, options):
    for model in ("big", "small", "c"):
        cli("rm", model, "-y")
    result = cli("verify", *options)
    assert (result.status, result.out) == (0, "")
    assert result.err == "No installed model can be verified.\n"


def test_a_wrong_call_is_a_usage_error_or_not_found(cli, app):
    assert cli("verify", "nothing").status == 3
    assert cli("verify", "big", "--fast", "--repair").status == 2


def test_a_first_verification_records_the_digests_of_pieces(app, cli):
    records = VerificationRecords(app.home.engine, app.home.node, app.home.store)
    with writing(app.home.engine) as tx:
        tx.execute(artifact_pieces.delete())
    assert records.record("big.gguf").files[0].pieces is None
    assert cli("verify", "big").status == 0
    flip_byte(app.store / "big.gguf", 2 * MIB)
    assert f"bytes {2 * MIB:,}-{3 * MIB - 1:,}" in cli("verify", "big").err


def test_verify_works_as_a_process_of_its_own(app):
    result = run_command("verify", "big")
    assert (result.status, result.out) == (0, "big.gguf: ok, 5.2 MB\n")


def test_a_process_that_finds_damage_prints_only_its_error(app):
    flip_byte(app.store / "big.gguf", 100)
    result = run_command("verify", "big", "--json")
    assert result.error["code"] == "digest_mismatch"
    assert len(run_command("verify", "big").error_text.splitlines()) == 2


def test_ctrl_c_hands_the_job_back_at_once_and_the_next_call_ends_it(app, home):
    # A sparse file of 256 GiB: it is not read to its end before the signal, however slow the disk is.
    path = app.store / "big.gguf"
    path.unlink()
    with path.open("wb") as file:
        file.truncate(256 << 30)
    with writing(app.home.engine) as tx:
        tx.execute(artifact_files.update().where(artifact_files.c.path == "big.gguf").values(bytes=256 << 30))
        tx.execute(artifact_pieces.delete())
    with start_command("verify", "big") as process:
        [job] = app.until(lambda: [job for job in app.home.queries.all(state=State.RUNNING) if job.bytes_done])
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
    assert app.job(job.id).state is State.QUEUED
    path.write_bytes(BIG)
    with writing(app.home.engine) as tx:
        tx.execute(artifact_files.update().where(artifact_files.c.path == "big.gguf").values(bytes=len(BIG)))
    assert run_command("verify", "big").status == 0
    assert app.job(job.id).state is State.COMPLETED


def test_a_file_that_is_changed_while_it_is_read_is_not_verified(app, monkeypatch):
    path = app.store / "big.gguf"
    preadv, changed_at = os.preadv, []

    def change_then_read(fd, buffers, offset):
        if offset == 4 * MIB and not changed_at:
            changed_at.append(offset)
            with path.open("r+b") as file:
                file.write(b"X")
        return preadv(fd, buffers, offset)

    with writing(app.home.engine) as tx:
        tx.execute(artifact_pieces.delete())  # without digests of pieces the file is read from front to back
    monkeypatch.setattr(os, "preadv", change_then_read)
    library_jobs = LibraryJobs(app.session)
    [number] = library_jobs.verify(library_jobs.installed(["big"]))
    run_due_jobs(app)
    assert changed_at
    assert app.job(number).error["code"] == "storage_failed"
    assert app.session.installed.find_one("big").condition == "changed"


def test_a_repair_of_a_model_with_a_job_that_waits_is_busy(cli, app):
    flip_byte(app.store / "big.gguf", 100)
    cli("enqueue", "big", "--force", "--at", "+3h")
    result = cli("verify", "big", "--repair")
    assert result.status == 9
    assert "flowhub cancel" in result.error_text
