"""Safe reads: a pipe, device, folder or oversized file in place of a regular file is an error at once."""

import os
from pathlib import Path

import pytest

from flowhub_jobs.fs.safe_read import is_regular, read_regular


def test_a_file_is_read_through_a_link_too(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("a")
    assert read_regular(tmp_path / "a", 5) == read_regular(tmp_path / "link", 5) == b"12345"
    assert (is_regular(tmp_path / "a"), is_regular(tmp_path / "link"), is_regular(tmp_path / "b")) == (
        True,
        False,
        False,
    )


def test_a_larger_file_is_refused_unread(tmp_path):
    with open(tmp_path / "a", "wb") as file:
        file.truncate(2**30)
    with pytest.raises(OSError, match="it has more than 1,000 bytes"):
        read_regular(tmp_path / "a", 1000)


@pytest.mark.parametrize("through", ["itself", "a link"])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path, through):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    with pytest.raises(OSError, match="it is not a regular file"):
        read_regular(tmp_path / ("pipe" if through == "itself" else "link"), 1000)


def test_a_device_a_folder_and_a_missing_file_are_refused(tmp_path):
    before = len(os.listdir("/dev/fd"))
    with pytest.raises(OSError, match="it is not a regular file"):
        read_regular(Path("/dev/zero"), 1000)
    with pytest.raises(IsADirectoryError):
        read_regular(tmp_path, 1000)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "none", 1000)
    assert len(os.listdir("/dev/fd")) == before, "every descriptor is closed"
