"""What is unsynced never exceeds 64 MiB a transfer: who writes more waits for the next commit."""

import threading
from pathlib import Path

from flowhub_jobs.addresses import HUB
from flowhub_jobs.artifacts import Artifact, ArtifactFile
from flowhub_jobs.transfer.asking import take
from flowhub_jobs.transfer.board import Board
from flowhub_jobs.transfer.committer import UNSYNCED_MAX, Committer
from flowhub_jobs.transfer.plan import MIB
from flowhub_jobs.transfer.reopen import reopen
from flowhub_jobs.transfer.terms import Control

URL = "https://example.org/m.gguf"


def test_a_writer_waits_until_a_commit_makes_room(tmp_path: Path) -> None:
    file = ArtifactFile("m.gguf", URL, 1 << 30, "0" * 64)
    board = Board(Artifact("m@q", "m", "q", None, "m.gguf", False, (file,)), tmp_path, HUB)
    log = reopen(board, "", 0)
    committer = Committer(board, log, "", Control())
    with board.changed:
        task = take(board)
    assert task is not None
    board.open_part(task)
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
