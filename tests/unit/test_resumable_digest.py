"""Sha256: a digest that is saved and resumed elsewhere is the digest of all bytes."""

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
def test_a_digest_saved_and_resumed_at_any_splits_is_that_of_all_bytes(data, splits):
    digest, at = Sha256(), 0
    for split in sorted(min(split, len(data)) for split in splits):
        digest.update(data[at:split])
        digest, at = Sha256(digest.save()), split
    digest.update(data[at:])
    assert digest.hexdigest() == hashlib.sha256(data).hexdigest()


@given(st.lists(st.binary(max_size=200), max_size=8))
def test_bytes_in_any_portions_and_kinds_give_the_same_digest(portions):
    from_bytes, from_bytearray, from_view = Sha256(), Sha256(), Sha256()
    for portion in portions:
        from_bytes.update(portion)
        from_bytearray.update(bytearray(portion))
        from_view.update(memoryview(bytearray(portion)))
    assert from_bytes.hexdigest() == from_bytearray.hexdigest() == from_view.hexdigest()
    assert from_bytes.hexdigest() == hashlib.sha256(b"".join(portions)).hexdigest()


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_a_digest_can_be_read_and_then_updated(first, second):
    digest = Sha256()
    digest.update(first)
    assert digest.hexdigest() == hashlib.sha256(first).hexdigest()
    digest.update(second)
    assert digest.hexdigest() == hashlib.sha256(first + second).hexdigest()


@needs_libcrypto
def test_a_saved_state_does_not_change_with_later_updates():
    digest = Sha256()
    digest.update(b"first")
    saved = digest.save()
    digest.update(b"second")
    other = Sha256(saved)
    assert other.save() == saved
    assert other.hexdigest() == hashlib.sha256(b"first").hexdigest()


def test_without_libcrypto_a_digest_works_and_cannot_be_saved(monkeypatch):
    monkeypatch.setattr(resumable_sha256, "_library", lambda: None)
    digest = Sha256()
    digest.update(b"abc")
    digest.update(memoryview(b"def"))
    assert digest.save() is None
    assert not can_save()
    assert digest.hexdigest() == hashlib.sha256(b"abcdef").hexdigest()
    with pytest.raises(ValueError, match="libcrypto"):
        Sha256("00" * 112)


def test_a_libcrypto_with_another_struct_is_not_trusted():
    class Foreign:
        """A libcrypto that keeps its state outside of the struct: a copy of the struct is not enough to resume."""

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
    digest = git_sha1(3)
    digest.update(b"{}\n")
    assert digest.hexdigest() == "0967ef424bce6791893e9a57bb952f80fd536e93"  # git hash-object


@needs_libcrypto
def test_the_states_at_the_ends_of_pieces_are_restored_from_32_bytes_each():
    data = bytes(range(256)) * 16 * 1024 * 3  # 12 MiB
    digest = PieceDigest(Sha256(), 0, MIB)
    digest.update(memoryview(bytearray(data)))
    pieces = pieces_of(digest.states, MIB, len(data))
    assert pieces is not None
    assert len(pieces.states) == 12 * 32
    assert states_of(pieces) == digest.states


def test_pieces_with_an_unknown_state_are_none():
    assert pieces_of({1: "00" * 112}, MIB, 3 * MIB) is None


def test_a_state_of_an_unknown_form_is_not_kept():
    assert pieces_of({1: "01" * 112}, MIB, MIB) is None
