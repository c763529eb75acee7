"""verify: what is installed is read again; what turned on the disk is found, and mended by its pieces."""

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


class Asked:
    """What an origin was asked for since this was made."""

    def __init__(self, origin):
        self.origin, self.before = origin, len(origin.requests())

    @property
    def paths(self):
        return {request.path for request in self.origin.requests()[self.before :]}

    @property
    def bytes(self):
        return sum(request.bytes_sent for request in self.origin.requests()[self.before :])


@pytest.fixture
def asked(app, origin):
    return Asked(origin)


def test_what_is_whole_is_ok_and_was_read_by_jobs_that_status_shows(cli, app):
    page = cli("verify", "--json").json
    assert page["schema"] == "flowhub/verify/1"
    assert [(one["name"], one["state"]) for one in page["models"]] == [
        ("big.gguf", "ok"),
        ("c-mlx-4bit", "ok"),
        ("small.gguf", "ok"),
    ]
    jobs = {job["id"]: job for job in cli("status", "--json").jobs}
    made = [jobs[one["job"]] for one in page["models"]]
    assert {(job["kind"], job["state"], job["sha256_state"]) for job in made} == {("verify", "completed", "verified")}
    assert made[0]["bytes_done"] == made[0]["bytes_total"] == len(BIG)


def test_a_look_at_a_model_makes_it_verified_now(cli, app):
    before = {model["name"]: model["verified_at"] for model in cli("list", "--json").json["models"]}
    cli("verify", "big")
    after = {model["name"]: model["verified_at"] for model in cli("list", "--json").json["models"]}
    assert after["big.gguf"] > before["big.gguf"]
    assert after["small.gguf"] == before["small.gguf"]


def test_a_byte_that_turned_on_the_disk_is_found_in_its_piece(cli, app):
    flip_byte(app.store / "big.gguf", 2 * MIB + 5)
    said = cli("verify", "big")
    assert said.status == 8
    assert f"bytes {2 * MIB:,}-{3 * MIB - 1:,}" in said.err
    assert "flowhub verify big.gguf --repair" in said.err
    assert app.home.queries.all()[-1].state is State.FAILED


@pytest.mark.parametrize("at", [100, 2 * MIB + 5, 5 * MIB + 1000], ids=["first piece", "middle", "the end"])
def test_a_repair_fetches_only_the_pieces_that_differ(cli, app, asked, at):
    flip_byte(app.store / "big.gguf", at)
    [one] = cli("verify", "big", "--repair", "--json").json["models"]
    assert one["state"] == "repaired"
    assert (app.store / "big.gguf").read_bytes() == BIG
    piece = min(MIB, len(BIG) - at // MIB * MIB)
    assert asked.bytes == piece == one["bytes_fetched"]
    assert cli("verify", "big").status == 0
    assert app.leftover_partials() == []


def test_a_small_file_that_turned_is_fetched_whole_and_the_rest_of_its_folder_is_not(cli, app, asked):
    path, data = max(mlx_folder().items(), key=lambda item: len(item[1]))
    flip_byte(app.store / "c-mlx-4bit" / path, len(data) // 2)
    assert cli("verify", "c").status == 8
    [one] = cli("verify", "c", "--repair", "--json").json["models"]
    assert one["state"] == "repaired"
    assert asked.paths == {f"/c/{path}"}
    assert (app.store / "c-mlx-4bit" / path).read_bytes() == data


def test_the_damaged_file_keeps_its_name_until_the_mended_one_is_verified(cli, app, origin):
    place = app.store / "big.gguf"
    flip_byte(place, 100)
    damaged = place.read_bytes()
    origin.remove("/big.gguf")
    said = cli("verify", "big", "--repair")
    assert said.status == 5
    assert place.read_bytes() == damaged


def test_a_file_that_was_cut_short_is_mended_by_its_end(cli, app, asked):
    os.truncate(app.store / "big.gguf", 3 * MIB)
    assert f"is {3 * MIB:,} bytes long and was installed with {len(BIG):,}" in cli("verify", "big").error_text
    assert cli("verify", "big", "--repair").status == 0
    assert (app.store / "big.gguf").read_bytes() == BIG
    assert asked.bytes == len(BIG) - 3 * MIB


def test_a_file_that_has_grown_is_found_and_mended_without_a_byte_fetched(cli, app, asked):
    with (app.store / "big.gguf").open("ab") as file:
        file.write(b"more")
    assert cli("verify", "big").status == 8
    assert cli("verify", "big", "--repair").status == 0
    assert (app.store / "big.gguf").read_bytes() == BIG
    assert asked.paths == set()


def test_only_the_time_changed_and_the_bytes_did_not(cli, app):
    os.utime(app.store / "small.gguf", ns=(1, 1))
    assert cli("verify", "small", "--fast").status == 8
    assert cli("verify", "small").status == 0
    assert cli("verify", "small", "--fast").status == 0


def test_a_fast_look_reads_nothing_and_makes_no_job(cli, app):
    count = len(app.home.queries.all())
    flip_byte(app.store / "small.gguf", 9)
    [one] = cli("verify", "small", "--fast", "--json").json["models"]
    assert (one["state"], one["job"]) == ("unchanged", None)
    assert len(app.home.queries.all()) == count


def test_of_several_the_damaged_one_is_named_and_the_exit_status_says_some(cli, app):
    flip_byte(app.store / "small.gguf", 9)
    said = cli("verify")
    assert said.status == 10
    assert "small.gguf: damaged" in said.out
    assert "big.gguf: ok" in said.out


def test_verify_refuses_files_put_there_by_hand(cli, app):
    (app.store / "hand.gguf").write_bytes(SMALL)
    assert "hand.gguf" in cli("verify").err
    said = cli("verify", "hand.gguf")
    assert said.status == 3
    assert "flowhub adopt" in said.error_text


def test_a_worker_does_it_later_if_asked(cli, app):
    said = cli("verify", "big", "--later")
    assert "verify big@q4, 5.2 MB, queued" in said.out
    assert said.err == "No worker is running; start one with `flowhub worker`.\n"
    flip_byte(app.store / "big.gguf", 100)
    run_due_jobs(app)
    job = app.home.queries.all()[-1]
    assert (job.kind, job.state, job.error["code"]) == (JobKind.VERIFY, State.FAILED, "digest_mismatch")


@pytest.mark.parametrize("how", [[], ["--later"]], ids=["here", "later"])
def test_verify_of_an_empty_store_prints_one_line(cli, app, how):
    for model in ("big", "small", "c"):
        cli("rm", model, "-y")
    said = cli("verify", *how)
    assert (said.status, said.out) == (0, "")
    assert said.err == "No installed model can be verified.\n"


def test_what_a_wrong_call_says(cli, app):
    assert cli("verify", "nothing").status == 3
    assert cli("verify", "big", "--fast", "--repair").status == 2


def test_pieces_are_learned_by_a_first_reading(app, cli):
    checks = VerificationRecords(app.home.engine, app.home.node, app.home.store)
    with writing(app.home.engine) as tx:
        tx.execute(artifact_pieces.delete())
    assert checks.record("big.gguf").files[0].pieces is None
    assert cli("verify", "big").status == 0
    flip_byte(app.store / "big.gguf", 2 * MIB)
    assert f"bytes {2 * MIB:,}-{3 * MIB - 1:,}" in cli("verify", "big").err


def test_it_works_as_a_process_of_its_own(app):
    said = run_command("verify", "big")
    assert (said.status, said.out) == (0, "big.gguf: ok, 5.2 MB\n")


def test_what_a_process_says_of_damage_is_its_error_alone(app):
    flip_byte(app.store / "big.gguf", 100)
    said = run_command("verify", "big", "--json")
    assert said.error["code"] == "digest_mismatch"
    assert len(run_command("verify", "big").error_text.splitlines()) == 2


def test_ctrl_c_hands_the_job_back_at_once_and_the_next_call_ends_it(app, home):
    # So much of nothing that it is not read to its end, however long the disk takes to write how far it is.
    place = app.store / "big.gguf"
    place.unlink()
    with place.open("wb") as file:
        file.truncate(256 << 30)
    with writing(app.home.engine) as tx:
        tx.execute(artifact_files.update().where(artifact_files.c.path == "big.gguf").values(bytes=256 << 30))
        tx.execute(artifact_pieces.delete())
    with start_command("verify", "big") as begun:
        [job] = app.until(lambda: [j for j in app.home.queries.all(state=State.RUNNING) if j.bytes_done])
        begun.send_signal(signal.SIGINT)
        assert begun.wait() == 130
    assert app.job(job.id).state is State.QUEUED
    place.write_bytes(BIG)
    with writing(app.home.engine) as tx:
        tx.execute(artifact_files.update().where(artifact_files.c.path == "big.gguf").values(bytes=len(BIG)))
    assert run_command("verify", "big").status == 0
    assert app.job(job.id).state is State.COMPLETED


def test_a_file_that_is_written_to_while_it_is_read_is_not_called_whole(app, monkeypatch):
    place = app.store / "big.gguf"
    read, harmed = os.preadv, []

    def failpoints(fd, buffers, offset):
        if offset == 4 * MIB and not harmed:
            harmed.append(offset)
            with place.open("r+b") as file:
                file.write(b"X")
        return read(fd, buffers, offset)

    with writing(app.home.engine) as tx:
        tx.execute(artifact_pieces.delete())  # from front to back
    monkeypatch.setattr(os, "preadv", failpoints)
    library_jobs = LibraryJobs(app.session)
    [number] = library_jobs.verify(library_jobs.installed(["big"]))
    run_due_jobs(app)
    assert harmed
    assert app.job(number).error["code"] == "storage_failed"
    assert app.session.installed.find_one("big").condition == "changed"


def test_a_repair_of_a_model_with_a_job_that_waits_is_busy(cli, app):
    flip_byte(app.store / "big.gguf", 100)
    cli("enqueue", "big", "--force", "--at", "+3h")
    said = cli("verify", "big", "--repair")
    assert said.status == 9
    assert "flowhub cancel" in said.error_text
