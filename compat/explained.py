"""The differences between zkpy and the real server that are known and have a reason.

They are listed in the conformance document. A comparison that meets one of them counts it under its id;
nothing is left out of a comparison without an entry here.
"""

from __future__ import annotations

from typing import Final

import attrs


@attrs.frozen
class Explained:
    """One difference: what the two do, why, and which tests or scripts show it."""

    id: str
    title: str
    zkpy: str
    real: str
    reason: str
    shown: tuple[str, ...]


NOT_SENT: Final = (
    "Not compared: the checks do not send it, since it is not certain that a Java server withstands it."
)

EXPLAINED: Final = (
    Explained(
        "delete-container-from-a-client",
        "`deleteContainer` from a client",
        "NoAuth; the znode stays.",
        "Not compared: the checks do not send it.",
        "Deliberate: the operation is the server's own, for containers whose last child has gone.",
        ("delete_container_from_a_client_is_refused",),
    ),
    Explained(
        "create-session-from-a-client",
        "`createSession` as a client's request",
        "An unknown operation: Unimplemented, and the connection is closed.",
        NOT_SENT,
        "Deliberate: clients open a session by the handshake, never by this operation.",
        ("create_session_from_a_client_is_an_unknown_operation",),
    ),
    Explained(
        "create-ttl-without-a-ttl-flag",
        "`createTTL` with a negative TTL and a flag that is not a TTL flag",
        "BadArguments.",
        NOT_SENT,
        "Deliberate: there is no znode that this could mean.",
        ("a_negative_ttl_without_the_ttl_flag_is_a_bad_argument",),
    ),
    Explained(
        "quota-on-the-root",
        "A quota on the root",
        "`/zookeeper/quota/zookeeper_limits` is a plain znode and limits nothing.",
        NOT_SENT,
        "Deliberate: a znode that is no usable quota must not disturb writes elsewhere.",
        ("a_quota_on_the_root_is_a_plain_znode",),
    ),
    Explained(
        "unreadable-usage",
        "Unreadable text in a quota's `zookeeper_stats`",
        "Counts as an empty subtree; the next change writes a readable one.",
        NOT_SENT,
        "Deliberate: usage is bookkeeping of the server, and text in it must not stop other writes.",
        ("unreadable_usage_counts_as_empty",),
    ),
    Explained(
        "requests-behind-close-session",
        "Requests that arrive in one batch behind `closeSession`",
        "No reply.",
        "The first of them may still be answered with SessionExpired, and is then in the log.",
        "Timing: it depends on how far Java's threads have come when the session ends.",
        ("requests_behind_close_session_get_no_reply",),
    ),
    Explained(
        "log-entries-of-undecodable-writes",
        "Writes whose body does not decode, in the transaction log",
        "No zxid and no entry (`multi` excepted, which takes a zxid on both).",
        "No zxid, but an error entry under a zxid which an earlier write has used.",
        "A Java bug without effect: replaying the log skips the entry. The comparison of the logs leaves "
        "such second entries of one zxid out.",
        (
            "bodies_that_do_not_decode_consume_nothing_but_multis_do",
            "test_transaction_logs_are_the_same_after_all_scripts",
        ),
    ),
    Explained(
        "digest-of-odd-creates",
        "The digest logged with a create whose operation and flag do not match",
        "The digest of its tree, as always.",
        "A value that is not the digest of its tree.",
        "A Java bug in the digest computed ahead of a write, without effect on the znodes.",
        ("create_flags_by_opcode", "test_replaying_the_real_log_gives_the_real_digests"),
    ),
    Explained(
        "digest-of-refused-multis",
        "The log entry of a `multi` that is refused as a whole",
        "An error entry without a digest, as for every failed request.",
        "The error entry may have the digest of what the multi would have changed.",
        "A Java bug without effect: nothing is changed. The comparison of the logs leaves the digests of "
        "error entries out.",
        ("test_generated_scripts_have_the_same_answers",),
    ),
    Explained(
        "writes-right-behind-a-set-acl",
        "Writes that arrive in one batch behind a `setACL` of the znode they need, or behind a `multi` that "
        "is refused as a whole",
        "Checked against the new ACL; a refused multi has changed nothing.",
        "Checked against the old or the new ACL, as it happens; or against what the refused multi would have "
        "changed, as long as that is not yet logged.",
        "Timing: it depends on how far Java's threads have come. Generated batches end behind such "
        "a request.",
        ("pipelined_writes_see_a_pending_set_acl",),
    ),
    Explained(
        "writes-right-behind-others-under-a-hard-quota",
        "Writes that arrive in one batch under a hard quota",
        "Checked against what is committed at that moment, as by the real server.",
        "The same; but other writes may be committed at that moment.",
        "Timing: ZooKeeper lets pipelined writes exceed a quota. Generated batches have one write then.",
        ("hard_quotas_are_enforced",),
    ),
    Explained(
        "connections-that-outlive-their-session",
        "A connection whose session another one has taken over, right after a third one of it was lost",
        "Closed.",
        "May stay open and silent.",
        "A Java bug of timing: the late notice of the lost connection makes it forget the next one. "
        "Generated scripts wait until the loss is noticed.",
        ("sessions_are_resumed_with_their_password",),
    ),
    Explained(
        "watches-of-a-null-path",
        "`addWatch` of a null path",
        "The same as the empty path; no event can concern it.",
        "A watch of its own, which is still listed by `wchp` when its connection has ended.",
        "A Java bug without effect on clients: the watch can never fire.",
        ("add_watch_of_a_null_path",),
    ),
    Explained(
        "lists-without-an-order",
        "The order of names in `getChildren`",
        "The order of creation.",
        "The order of a hash table.",
        "ZooKeeper promises none. The comparison sorts these names.",
        ("stat_effects_of_each_change",),
    ),
    Explained(
        "ephemerals-at-the-end-of-a-session",
        "The order in which the ephemerals of a session go when some came or went in the batch of its end",
        "As if none of that were committed when the session ends.",
        "It depends on which of them are committed then.",
        "Timing. Otherwise the order, that of a hash table, is the same, and so are the events.",
        ("close_session_deletes_its_ephemerals_in_one_transaction",),
    ),
    Explained(
        "large-multi-read",
        "`multiRead` with an answer of more than 16 MiB",
        "Refused.",
        "Not compared: it builds the whole answer.",
        "Deliberate: a small request must not cost memory out of all proportion.",
        ("test_a_multi_read_out_of_all_proportion_is_refused",),
    ),
    Explained(
        "too-many-identities",
        "More than 10,000 identities on one connection",
        "The next auth packet is refused.",
        "Not compared: it has no such limit.",
        "Deliberate: every permission check would go through all of them.",
        ("test_many_identities_and_a_long_acl_take_no_long_time",),
    ),
    Explained(
        "growing-acl-lists",
        "ACL lists which `auth` entries or replaced characters would make too long for the log",
        "Refused: InvalidACL or Marshalling.",
        "Not compared.",
        "Deliberate: a log entry must be short enough to be read back.",
        ("test_acl_lists_that_grow_are_refused_and_the_log_reads_back",),
    ),
    Explained(
        "clients-that-do-not-read",
        "Clients that do not read what they are sent",
        "Not read from beyond 4 MiB of unsent answers, closed beyond 16 MiB; one that takes nothing of its "
        "last answer is closed after `nio.sessionlessCnxnTimeout`.",
        "Not compared: it keeps what is unsent.",
        "Deliberate: one client must not use up the memory of all.",
        (
            "test_a_client_that_lets_events_pile_up_is_closed",
            "test_a_client_that_never_reads_its_last_answer_is_closed_in_time",
        ),
    ),
)

BY_ID: Final = {one.id: one for one in EXPLAINED}
