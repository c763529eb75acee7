"""What is unsynced never exceeds 64 MiB a transfer, and few parts are open: who wants more waits for a commit."""

import contextlib
import threading
from pathlib import Path

from flowhub_jobs.addresses import HUB
from flowhub_jobs.artifacts import Artifact, ArtifactFile, FileDigest
from flowhub_jobs.transfer.asking import take
from flowhub_jobs.transfer.board import Board
from flowhub_jobs.transfer.committer import OPEN_FILES_MAX, UNSYNCED_MAX, Committer
from flowhub_jobs.transfer.files import Task
from flowhub_jobs.transfer.journal import Journal
from flowhub_jobs.transfer.plan import MIB
from flowhub_jobs.transfer.reopen import reopen
from flowhub_jobs.transfer.terms import Control

URL = "https://example.org/m.gguf"


def opened(folder: Path, files: int = 1) -> tuple[Board, Committer, Journal]:
    wanted = tuple(ArtifactFile(f"m{number}.gguf", URL, 1 << 30, "0" * 64) for number in range(files))
    board = Board(Artifact("m@q", "m", "q", None, "m", files > 1, wanted), folder, HUB)
    log = reopen(board, "", 0)
    return board, Committer(board, log, "", Control()), log


def begun(board: Board) -> Task:
    with board.changed:
        task = take(board)
    assert task is not None
    board.open_part(task)
    return task


def verified(board: Board, task: Task) -> None:
    with board.changed:
        board.found_right(task.state, FileDigest(task.state.file.path, 0, "0" * 64, True))


def is_open(task: Task) -> bool:
    assert task.part is not None
    with contextlib.suppress(OSError):
        return task.part.size >= 0
    return False


def test_a_part_is_closed_once_it_is_verified_and_synced_and_nobody_is_at_it(tmp_path: Path) -> None:
    board, committer, log = opened(tmp_path)
    task = begun(board)
    committer.commit()
    assert is_open(task)
    verified(board, task)
    committer.commit()
    assert is_open(task), "a range of it is on its way"
    task.state.dirty = True
    board.release(task)
    board.close_finished()
    assert is_open(task), "not synced"
    committer.commit()
    assert not is_open(task)
    board.close()
    log.close()


def test_a_file_that_is_begun_anew_after_all_stays_open(tmp_path: Path) -> None:
    board, committer, log = opened(tmp_path)
    task = begun(board)
    verified(board, task)
    with board.changed:
        board.rehash(task.state)
    board.release(task)
    committer.commit()
    assert is_open(task)
    board.close()
    log.close()


def test_who_opens_one_more_waits_until_a_commit_has_closed_some(tmp_path: Path) -> None:
    board, committer, log = opened(tmp_path, OPEN_FILES_MAX)
    for _ in range(OPEN_FILES_MAX):
        committer.admit_file()
        task = begun(board)
        verified(board, task)
        board.wanting.pop(task.state.number)
        board.release(task)
    passed = threading.Event()

    def one_more() -> None:
        committer.admit_file()
        passed.set()

    waiting = threading.Thread(target=one_more)
    waiting.start()
    assert not passed.wait(0.2)
    committer.commit()
    assert passed.wait(30)
    waiting.join()
    board.close()
    log.close()


def test_a_writer_waits_until_a_commit_makes_room(tmp_path: Path) -> None:
    board, committer, log = opened(tmp_path)
    task = begun(board)
    assert task.part is not None
    for _ in range(UNSYNCED_MAX // MIB):
        committer.admit(MIB)
        task.part.write(bytes(MIB), task.at)
        board.arrived(task, memoryview(bytes(MIB)), memoryview(b""))
    passed = threading.Event()

    def one_more() -> None:
        committer.admit(1)
        passed.set()

    writer = threading.Thread(target=one_more)
    writer.start()
    assert board.unsynced == UNSYNCED_MAX
    assert not passed.wait(0.2)
    committer.commit()
    assert passed.wait(30)
    assert board.unsynced == 0
    writer.join()
    task.part.close()
    log.close()
