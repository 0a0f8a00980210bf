"""What the delivery service reads of MLS: what members of both makes write, and none of what they would not."""

import struct

import pytest

from parley_testkit.discord.members import Library
from parley_testkit.discord.mls import ExternalSender, appended, read_commit, read_key_package, vector

CHANNEL, ANNA, BEN = 1_234_567_890_123_456_789, 11, 22
GROUP = struct.pack(">Q", CHANNEL)


@pytest.mark.parametrize("library", Library)
def test_a_key_package_says_whose_it_is(library: Library) -> None:
    package = library.member(ANNA, CHANNEL).begin(ExternalSender().package)

    assert read_key_package(package) == ANNA


@pytest.mark.parametrize("library", Library)
def test_a_commit_says_what_it_commits(library: Library) -> None:
    sender = ExternalSender()
    anna, ben = library.member(ANNA, CHANNEL), library.member(BEN, CHANNEL)
    anna.begin(sender.package)
    proposal = sender.add(GROUP, 0, ben.begin(sender.package))

    payload = anna.propose(appended([proposal]), {ANNA, BEN})

    assert payload
    commit = read_commit(payload)
    assert commit[:4] == (GROUP, 0, 0, (proposal.reference,))
    assert commit.message + commit.welcome == payload
    anna.commit(commit.message)
    ben.join(commit.welcome, {ANNA, BEN})
    assert anna.privacy_code == ben.privacy_code != ""


@pytest.mark.parametrize("library", Library)
def test_nobody_accepts_a_proposal_of_somebody_else(library: Library) -> None:
    """Whoever is no external sender of the group may propose nothing, so the emulator's signatures are real ones."""
    anna, ben = library.member(ANNA, CHANNEL), library.member(BEN, CHANNEL)
    anna.begin(ExternalSender().package)
    forged = ExternalSender().add(GROUP, 0, ben.begin(ExternalSender().package))

    try:
        payload = anna.propose(appended([forged]), {ANNA, BEN})
    except ValueError:
        payload = None

    assert payload is None


@pytest.mark.parametrize("size", [0, 63, 64, 16383, 16384, 70_000])
def test_a_length_is_written_in_as_few_bytes_as_rfc_9420_wants(size: int) -> None:
    written = vector(bytes(size))

    prefix = written[: len(written) - size]
    assert len(prefix) == (1 if size < 64 else 2 if size < 16384 else 4)
    assert int.from_bytes(prefix, "big") & ~(0xC0 << 8 * (len(prefix) - 1)) == size


@pytest.mark.parametrize("payload", [b"", b"\x00\x01\x00\x01", b"\x00\x01\x00\x02" + bytes(90), bytes(500)])
def test_what_is_no_commit_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match="MLS message"):
        read_commit(payload)


def test_a_key_package_that_ends_some_day_is_refused() -> None:
    package = Library.DAVEY.member(ANNA, CHANNEL).begin(ExternalSender().package)
    for_ever = struct.pack(">QQ", 0, 2**64 - 1)
    assert for_ever in package

    with pytest.raises(ValueError, match="for ever"):
        read_key_package(package.replace(for_ever, struct.pack(">QQ", 0, 2**40)))
