"""A SHA-256 that is saved, and gone on with elsewhere, is the SHA-256 of the whole."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowhub_jobs.pieces import resumable_sha256
from flowhub_jobs.pieces.resumable_sha256 import PieceDigest, Sha256, can_save, pieces_of, states_of
from flowhub_jobs.values.artifacts import git_sha1

MIB = 1 << 20

needs_libcrypto = pytest.mark.skipif(not can_save(), reason="needs a Python that is linked to a shared libcrypto")


@needs_libcrypto
@given(st.binary(max_size=500), st.lists(st.integers(0, 500), max_size=6))
def test_saved_at_any_splits_it_goes_on_as_if_nothing_had_been(data, splits):
    running, at = Sha256(), 0
    for split in sorted(min(split, len(data)) for split in splits):
        running.update(data[at:split])
        running, at = Sha256(running.save()), split
    running.update(data[at:])
    assert running.hexdigest() == hashlib.sha256(data).hexdigest()


@given(st.lists(st.binary(max_size=200), max_size=8))
def test_bytes_in_any_portions_and_kinds_give_the_same_digest(portions):
    plain, lent, viewed = Sha256(), Sha256(), Sha256()
    for portion in portions:
        plain.update(portion)
        lent.update(bytearray(portion))
        viewed.update(memoryview(bytearray(portion)))
    assert plain.hexdigest() == lent.hexdigest() == viewed.hexdigest()
    assert plain.hexdigest() == hashlib.sha256(b"".join(portions)).hexdigest()


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_asking_for_the_digest_does_not_end_it(first, second):
    running = Sha256()
    running.update(first)
    assert running.hexdigest() == hashlib.sha256(first).hexdigest()
    running.update(second)
    assert running.hexdigest() == hashlib.sha256(first + second).hexdigest()


@needs_libcrypto
def test_what_was_saved_does_not_change_when_more_comes():
    running = Sha256()
    running.update(b"first")
    saved = running.save()
    running.update(b"second")
    other = Sha256(saved)
    assert other.save() == saved
    assert other.hexdigest() == hashlib.sha256(b"first").hexdigest()


def test_without_libcrypto_it_hashes_and_says_that_it_cannot_be_saved(monkeypatch):
    monkeypatch.setattr(resumable_sha256, "_library", lambda: None)
    running = Sha256()
    running.update(b"abc")
    running.update(memoryview(b"def"))
    assert running.save() is None
    assert not can_save()
    assert running.hexdigest() == hashlib.sha256(b"abcdef").hexdigest()
    with pytest.raises(ValueError, match="libcrypto"):
        Sha256("00" * 112)


def test_a_libcrypto_with_another_struct_is_not_trusted():
    class Foreign:
        """Keeps its state elsewhere: what is copied is not enough to go on."""

        def __init__(self):
            self.running = hashlib.sha256()

        def SHA256_Init(self, context):  # noqa: N802
            self.running = hashlib.sha256()

        def SHA256_Update(self, context, data, size):  # noqa: N802
            if not any(bytes(context)):
                self.running.update(b"noise")

        def SHA256_Final(self, answer, context):  # noqa: N802
            answer.raw = self.running.digest()

    assert not resumable_sha256._proves_itself(Foreign())


def test_a_git_sha1_is_gits_own():
    running = git_sha1(3)
    running.update(b"{}\n")
    assert running.hexdigest() == "0967ef424bce6791893e9a57bb952f80fd536e93"  # git hash-object


@needs_libcrypto
def test_the_states_at_the_ends_of_pieces_come_back_whole_from_32_bytes_each():
    data = bytes(range(256)) * 16 * 1024 * 3  # 12 MiB
    reached = PieceDigest(Sha256(), 0, MIB)
    reached.update(memoryview(bytearray(data)))
    pieces = pieces_of(reached.states, MIB, len(data))
    assert pieces is not None
    assert len(pieces.states) == 12 * 32
    assert states_of(pieces) == reached.states


def test_pieces_of_which_one_is_not_known_are_none():
    assert pieces_of({1: "00" * 112}, MIB, 3 * MIB) is None


def test_a_state_of_a_form_that_is_not_understood_is_not_kept():
    assert pieces_of({1: "01" * 112}, MIB, MIB) is None
