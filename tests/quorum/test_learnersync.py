"""The learner's side of synchronisation, packet by packet, and against the leader's plans."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zkpy.errors import ProtocolError
from zkpy.quorum import packets
from zkpy.quorum.learnersync import (
    ActivateConfig,
    ApplyUnlogged,
    BadOpeningError,
    KeepDatabase,
    LearnerSync,
    LogAndApply,
    PersistCurrentEpoch,
    ReadSnapshot,
    SeeConfig,
    SendAck,
    Serve,
    TruncateLog,
    UseSyncLimit,
    WriteSnapshot,
    reconfig_text,
)
from zkpy.quorum.packets import QuorumPacket
from zkpy.quorum.syncplan import CommittedLog, plan_sync

deterministic = settings(derandomize=True, database=None, deadline=None, max_examples=100)
EPOCH = 5
BASE = EPOCH << 32
NEWLEADER = QuorumPacket(packets.NEWLEADER, BASE, b"version=0")
UPTODATE = QuorumPacket(packets.UPTODATE, -1)


def z(epoch: int, counter: int) -> int:
    return epoch << 32 | counter


def txn(zxid: int, kind: int = 1) -> bytes:
    return struct.pack(">qiqqi", 9, 1, zxid, 1000, kind) + b"body"


def reconfig(zxid: int, text: bytes = b"server.1=a:1:2") -> bytes:
    path = b"/zookeeper/config"
    head = struct.pack(">qiqqi", 9, 1, zxid, 1000, 16)
    return b"".join(
        (head, struct.pack(">i", len(path)), path, struct.pack(">i", len(text)), text, b"\xff" * 4)
    )


def propose(zxid: int) -> QuorumPacket:
    return QuorumPacket(packets.PROPOSAL, zxid, txn(zxid))


def commit(zxid: int) -> QuorumPacket:
    return QuorumPacket(packets.COMMIT, zxid)


def opened(kind: int = packets.DIFF, zxid: int = z(4, 2), last: int = z(4, 2)) -> LearnerSync:
    sync = LearnerSync(EPOCH, last)
    sync.on_packet(QuorumPacket(kind, zxid))
    return sync


def durable(*zxids: int, snapshot: bool = False) -> list[object]:
    out: list[object] = [SeeConfig("version=0")]
    if snapshot:
        out.append(WriteSnapshot())
    out.append(LogAndApply([(zxid, txn(zxid)) for zxid in zxids]))
    return [*out, PersistCurrentEpoch(EPOCH), UseSyncLimit(), SendAck(BASE)]


def test_openings() -> None:
    for kind, expected in (
        (packets.DIFF, KeepDatabase(7)),
        (packets.TRUNC, TruncateLog(7)),
        (packets.SNAP, ReadSnapshot(7)),
    ):
        assert LearnerSync(EPOCH, 0).on_packet(QuorumPacket(kind, 7)) == [expected]
    for kind in (packets.PROPOSAL, packets.NEWLEADER, packets.PING, 99):
        with pytest.raises(BadOpeningError):
            LearnerSync(EPOCH, 0).on_packet(QuorumPacket(kind, 7))


def test_in_step_already() -> None:
    sync = opened()
    assert sync.on_packet(NEWLEADER) == durable()
    assert sync.on_packet(UPTODATE) == [
        ActivateConfig("version=0", None),
        SendAck(BASE),
        Serve(EPOCH, [], []),
    ]
    assert sync.done
    with pytest.raises(AssertionError):
        sync.on_packet(UPTODATE)


def test_diff_logs_what_is_committed_before_the_epoch_and_keeps_the_rest() -> None:
    one, two, three = z(4, 3), z(4, 4), BASE + 1
    sync = opened(packets.DIFF, two)
    for packet in (propose(one), commit(one), propose(two), commit(two), propose(three)):
        assert sync.on_packet(packet) == []
    assert sync.on_packet(NEWLEADER) == durable(one, two)
    four = three + 1
    for packet in (commit(three), propose(four)):
        assert sync.on_packet(packet) == []
    serve = Serve(EPOCH, [(three, txn(three)), (four, txn(four))], [three])
    assert sync.on_packet(UPTODATE)[-2:] == [SendAck(BASE), serve]


@pytest.mark.parametrize("kind", [packets.SNAP, packets.TRUNC])
def test_what_is_committed_after_snap_or_trunc_is_applied_and_covered_by_a_snapshot(kind: int) -> None:
    sync = opened(kind)
    one, two = BASE + 1, BASE + 2
    sync.on_packet(propose(one))
    assert sync.on_packet(commit(one)) == [ApplyUnlogged(one, txn(one))]
    sync.on_packet(propose(two))
    assert sync.on_packet(NEWLEADER) == durable(snapshot=True)
    assert sync.on_packet(commit(two)) == []
    assert sync.on_packet(UPTODATE)[-1] == Serve(EPOCH, [(two, txn(two))], [two])


def test_observers_are_informed() -> None:
    one, two = z(4, 3), z(4, 4)
    sync = opened()
    assert sync.on_packet(QuorumPacket(packets.INFORM, one, txn(one))) == []
    assert sync.on_packet(NEWLEADER) == durable(one)
    assert sync.on_packet(QuorumPacket(packets.INFORM, two, txn(two))) == []
    assert sync.on_packet(UPTODATE)[-1] == Serve(EPOCH, [(two, txn(two))], [two])
    sync = opened(packets.SNAP)
    assert sync.on_packet(QuorumPacket(packets.INFORM, one, txn(one))) == [ApplyUnlogged(one, txn(one))]


def test_reconfigurations() -> None:
    zxid = z(4, 3)
    payload = reconfig(zxid)
    sync = opened()
    assert sync.on_packet(QuorumPacket(packets.PROPOSAL, zxid, payload)) == [SeeConfig("server.1=a:1:2")]
    assert sync.on_packet(packets.commit_and_activate(zxid, 3)) == [ActivateConfig("server.1=a:1:2", 3)]
    sync = opened(packets.SNAP)
    assert sync.on_packet(packets.inform_and_activate(zxid, 2, payload)) == [
        SeeConfig("server.1=a:1:2"),
        ApplyUnlogged(zxid, payload),
        ActivateConfig("server.1=a:1:2", 2),
    ]
    sync.on_packet(propose(zxid + 1))
    with pytest.raises(ProtocolError, match="no pending reconfiguration"):
        sync.on_packet(packets.commit_and_activate(zxid + 1, 2))


def test_members_that_are_only_proposed_do_not_come_into_force_with_uptodate() -> None:
    proposed = z(EPOCH, 3)
    text = f"server.1=a:1:2\nversion={proposed:x}"
    propose_members = QuorumPacket(packets.PROPOSAL, proposed, reconfig(proposed, text.encode()))
    new_leader = QuorumPacket(packets.NEWLEADER, BASE, text.encode())
    for commits in (False, True):
        sync = opened(zxid=z(EPOCH, 2), last=z(EPOCH, 2))
        sync.on_packet(propose_members)
        sync.on_packet(new_leader)
        if commits:
            assert sync.on_packet(packets.commit_and_activate(proposed, 3)) == [ActivateConfig(text, 3)]
        assert (ActivateConfig(text, None) in sync.on_packet(UPTODATE)) is commits
    observer = opened(zxid=z(EPOCH, 2), last=z(EPOCH, 2))  # which is not even told of the proposal
    observer.on_packet(new_leader)
    assert ActivateConfig(text, None) not in observer.on_packet(UPTODATE)


def test_a_proposal_of_members_is_not_forgotten_for_those_in_force() -> None:
    proposed = z(EPOCH, 3)
    text = f"server.1=a:1:2\nversion={proposed:x}"
    sync = opened(zxid=z(EPOCH, 2), last=z(EPOCH, 2))
    sync.on_packet(QuorumPacket(packets.PROPOSAL, proposed, reconfig(proposed, text.encode())))
    assert sync.on_packet(NEWLEADER)[:2] == [SeeConfig("version=0"), SeeConfig(text)]


def test_members_of_the_history_come_into_force_with_uptodate() -> None:
    for version in (0, BASE, z(4, 2), z(EPOCH, 3), z(7, 1)):  # the last: given in a file
        text = f"server.1=a:1:2\nversion={version:x}"
        sync = opened(packets.SNAP, z(EPOCH, 3))
        sync.on_packet(QuorumPacket(packets.NEWLEADER, BASE, text.encode()))
        assert ActivateConfig(text, None) in sync.on_packet(UPTODATE)


def test_other_packets_do_not_matter() -> None:
    sync = opened()
    for kind in (packets.PING, packets.SYNC, packets.REVALIDATE, 99):
        assert sync.on_packet(QuorumPacket(kind, 1, b"x")) == []


@pytest.mark.parametrize(
    "stream",
    [
        [propose(z(4, 4))],  # a gap after our own last one
        [propose(z(4, 2))],
        [propose(z(4, 3)), propose(z(4, 5))],
        [propose(z(4, 3)), propose(z(4, 3))],
        [propose(BASE + 1), propose(z(4, 9))],
        [commit(z(4, 3))],
        [propose(z(4, 3)), commit(z(4, 4))],
        [propose(z(4, 3)), propose(z(4, 4)), commit(z(4, 4))],
        [propose(z(4, 3)), commit(z(4, 3)), commit(z(4, 3))],
        [QuorumPacket(packets.PROPOSAL, z(4, 3))],
        [QuorumPacket(packets.PROPOSAL, z(4, 3), b"short")],
        [QuorumPacket(packets.PROPOSAL, z(4, 3), reconfig(z(4, 3))[:40])],
        [QuorumPacket(packets.INFORMANDACTIVATE, z(4, 3), b"short")],
        [UPTODATE],
        [QuorumPacket(packets.NEWLEADER, BASE + 1)],
        [QuorumPacket(packets.NEWLEADER, 6 << 32)],
        [NEWLEADER, NEWLEADER],
    ],
)
def test_streams_that_are_no_history(stream: list[QuorumPacket]) -> None:
    for kind in (packets.DIFF, packets.TRUNC):
        sync = opened(kind)
        for packet in stream[:-1]:
            sync.on_packet(packet)
        with pytest.raises(ProtocolError):
            sync.on_packet(stream[-1])


def test_newleader_before_the_announced_history() -> None:
    sync = opened(packets.DIFF, z(4, 4))
    sync.on_packet(propose(z(4, 3)))
    with pytest.raises(ProtocolError, match="before the history"):
        sync.on_packet(NEWLEADER)


def test_a_snapshot_may_have_what_follows() -> None:
    sync = opened(packets.SNAP, z(4, 9))
    for zxid in (z(4, 7), z(4, 8)):
        sync.on_packet(propose(zxid))
        assert sync.on_packet(commit(zxid)) == [ApplyUnlogged(zxid, txn(zxid))]


def test_the_cut_log_must_end_where_it_was_cut() -> None:
    opened(packets.TRUNC, z(4, 2)).truncated(z(4, 2))
    opened(packets.TRUNC, z(4, 0)).truncated(z(3, 2))
    for last in (z(4, 1), z(4, 3)):
        with pytest.raises(ProtocolError, match="ends with"):
            opened(packets.TRUNC, z(4, 2)).truncated(last)


def test_reconfig_text_of_other_transactions() -> None:
    assert reconfig_text(txn(1)) is None
    assert reconfig_text(reconfig(1, b"")) == ""


@deterministic
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(-1, 3), st.binary(max_size=60)), max_size=12))
def test_garbage_raises_protocol_errors_only(stream: list[tuple[int, int, bytes]]) -> None:
    sync = LearnerSync(EPOCH, 0)
    for kind, zxid, data in stream:
        try:
            sync.on_packet(QuorumPacket(kind, zxid, data))
        except ProtocolError:
            return
        if sync.done:
            return


@deterministic
@given(
    st.integers(0, 9), st.integers(0, 9), st.integers(1, 12), st.integers(0, 6), st.integers(0, 6), st.data()
)
def test_a_leaders_stream_ends_in_the_leaders_history(
    size: int, peer: int, limit: int, live: int, committed: int, data: st.DataObject
) -> None:
    """What is durable at the ACK covers all that was committed when NEWLEADER was queued."""
    history = [(z(3, n), txn(z(3, n))) for n in range(1, size + 1)]
    held = CommittedLog(limit)
    for entry in history:
        held.add(*entry)
    last = history[-1][0] if history else 0
    peer_last = z(3, peer) if peer else 0
    plan = plan_sync(peer_last, last, held)
    tail = [BASE + n for n in range(1, live + 1)]
    done = min(committed, live)
    newleader_at = data.draw(st.integers(0, live))
    stream: list[QuorumPacket] = [QuorumPacket(plan.type, plan.zxid)]
    for zxid, payload in plan.transactions:
        stream += (QuorumPacket(packets.PROPOSAL, zxid, payload), commit(zxid))
    for index, zxid in enumerate(tail):
        if index == newleader_at:
            stream.append(NEWLEADER)
        stream.append(propose(zxid))
        if index < done:
            stream.append(commit(zxid))
    if newleader_at == live:
        stream.append(NEWLEADER)
    stream.append(UPTODATE)

    sync = LearnerSync(EPOCH, peer_last)
    log: list[int] = [z(3, n) for n in range(1, peer + 1)]
    tree = list(log)
    covered: set[int] = set()
    acked = False
    for action in (action for packet in stream for action in sync.on_packet(packet)):
        match action:
            case TruncateLog(zxid):
                log = [other for other in log if other <= zxid]
                tree = list(log)
            case ReadSnapshot(zxid):
                tree, log = [other for other, _ in history if other <= zxid], []
            case ApplyUnlogged(zxid, _):
                assert not acked
                tree.append(zxid)
            case WriteSnapshot():
                covered = set(tree)
            case LogAndApply(txns):
                log += [zxid for zxid, _ in txns]
                tree += [zxid for zxid, _ in txns]
            case PersistCurrentEpoch():
                expected = [zxid for zxid, _ in history] + tail[: min(done, newleader_at)]
                assert tree == expected
                assert covered | set(log) == set(expected)
            case SendAck(zxid):
                acked = True
                assert zxid == BASE
            case Serve(_, proposals, commits):
                kept = [zxid for zxid, _ in proposals]
                assert tree + kept == [zxid for zxid, _ in history] + tail
                assert tree + commits == [zxid for zxid, _ in history] + tail[:done]
    assert sync.done
