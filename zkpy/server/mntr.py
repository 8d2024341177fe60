"""``mntr``: every key that a ZooKeeper 3.9.5 in the same role prints with its default metrics provider.

Monitoring looks for names and takes a missing one for a fault, so all are there. Gauges are computed when
asked for; counters and summaries come from ``ServerFacts`` and from totals kept anyway; what has no
counterpart here (a JVM, a commit processor) or would cost something on every request stays 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from zkpy.server import facts
from zkpy.server.facts import Quantiles, Summary
from zkpy.server.service import Service
from zkpy.tree.datatree import DataTree
from zkpy.tree.quota import MalformedQuotaError, StatsTrack, limits_path, stats_path

_COUNTERS: Final = """
    add_dead_watcher_stall_time bytes_received_count cnxn_closed_without_zk_server_running commit_count
    connection_drop_count connection_rejected connection_request_count connection_revalidate_count
    dead_watchers_cleared dead_watchers_queued diff_count digest_mismatches_count ensemble_auth_fail
    ensemble_auth_skip ensemble_auth_success insecure_admin_count large_requests_rejected
    learner_commit_received_count learner_proposal_received_count looking_count
    outstanding_changes_queued outstanding_changes_removed prep_processor_request_queued proposal_count
    quit_leading_due_to_disloyal_voter request_commit_queued request_throttle_wait_count
    requests_not_forwarded_to_commit_processor response_bytes response_packet_cache_hits
    response_packet_cache_misses response_packet_get_children_cache_hits
    response_packet_get_children_cache_misses restore_error_count restore_rate_limited_count
    revalidate_count sessionless_connections_expired skip_learner_request_to_next_processor_count
    snap_count snapshot_error_count snapshot_rate_limited_count stale_replies stale_requests
    stale_requests_dropped stale_sessions_expired sync_processor_request_queued throttled_ops
    tls_handshake_exceeded unrecoverable_error_count unsuccessful_handshake watch_bytes
"""

_BASIC: Final = """
    commit_commit_proc_req_queued commit_process_time concurrent_request_processing_in_commit_processor
    connection_token_deficit dbinittime election_time follower_sync_time fsynctime inflight_diff_count
    inflight_snap_count leader_unavailable_time learner_request_processor_queue_size
    netty_queued_buffer_capacity node_changed_watch_count node_children_watch_count
    node_created_watch_count node_deleted_watch_count observer_sync_time pending_session_queue_size
    prep_process_time prep_processor_queue_size proposal_process_time read_commit_proc_issued
    read_commit_proc_req_queued reads_after_write_in_session_queue reads_issued_from_session_queue
    requests_in_session_queue restore_time session_queues_drained snapshottime socket_closing_time
    startup_snap_load_time startup_txns_load_time startup_txns_loaded sync_process_time
    sync_processor_batch_size sync_processor_queue_size
    time_waiting_empty_pool_in_commit_processor_read_ms unavailable_time
    write_batch_time_in_commit_processor write_commit_proc_issued write_commit_proc_req_queued
"""

_ADVANCED: Final = """
    close_session_prep_time commit_propagation_latency dead_watchers_cleaner_latency jvm_pause_time_ms
    local_write_committed_time_ms om_commit_process_time_ms om_proposal_process_time_ms
    prep_processor_queue_time_ms propagation_latency proposal_ack_creation_latency proposal_latency
    quorum_ack_latency read_commitproc_time_ms read_final_proc_time_ms readlatency
    request_throttle_queue_time_ms server_write_committed_time_ms sync_processor_queue_and_flush_time_ms
    sync_processor_queue_flush_time_ms sync_processor_queue_time_ms updatelatency
    write_commitproc_time_ms write_final_proc_time_ms
"""

_PERCENTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p999": 0.999}
_UNKNOWN: Final = -1
"""What Java shows of response sizes before the first response; they are not measured here."""


def render(service: Service) -> str:
    """The whole answer."""
    parts = [f"zk_version\t{facts.version_text()}\nzk_server_state\t{service.server.mode}\n"]
    parts += [f"zk_{name}\t{value}\n" for name, value in _gauges(service)]
    around = service.facts
    counters = dict.fromkeys(_COUNTERS.split(), 0) | around.since_reset(totals(service)) | around.counters
    parts += [f"zk_{name}\t{value}\n" for name, value in counters.items()]
    empty = Summary()
    for name, summary in (dict.fromkeys(_BASIC.split(), empty) | around.summaries).items():
        parts.append(_basic(name, summary))
    for sid in sorted(around.learner_sets):
        parts.append(_basic(f"{sid}_learner_handler_qp_size", empty))
    sets = [f"{sid}_learner_handler_qp_time_ms" for sid in sorted(around.learner_sets)]
    nothing = Quantiles()
    for name in (*_ADVANCED.split(), *sets):
        summary = around.quantiles.get(name, nothing)
        parts.append(_basic(name, summary))
        values = zip(_PERCENTILES, summary.percentiles(_PERCENTILES.values()), strict=True)
        parts += [f"zk_{percentile}_{name}\t{value}\n" for percentile, value in values]
    return "".join(parts)


def totals(service: Service) -> dict[str, int]:
    """Counters that their owners keep from the start of the server."""
    server = service.server
    return {
        "connection_rejected": service.rejected,
        "digest_mismatches_count": server.digest_mismatches,
        "sync_processor_request_queued": server.committed,
    }


def average(total: int, count: int) -> str:
    """The mean as Java prints it: rounded half up to four decimals, of which at least one is shown."""
    if not count:
        return "0.0"
    units = (20000 * total + count) // (2 * count)
    decimals = f"{units % 10000:04d}".rstrip("0") or "0"
    return f"{units // 10000}.{decimals}"


def node_count(tree: DataTree) -> int:
    """Znodes as Java counts them: its root is in the table under two names."""
    return len(tree.nodes) + 1


def _gauges(service: Service) -> Iterator[tuple[str, int | str]]:
    server = service.server
    stats = server.stats
    tree = server.tree
    open_descriptors, max_descriptors = facts.descriptors()
    yield from service.facts.gauges()
    yield "num_alive_connections", len(service.cnxns)
    yield "outstanding_requests", server.outstanding
    yield "avg_latency", average(stats.total_latency, stats.count)
    yield "min_latency", stats.min_latency
    yield "max_latency", stats.max_latency
    yield "packets_received", stats.packets_received
    yield "packets_sent", stats.packets_sent
    yield "znode_count", node_count(tree)
    yield "ephemerals_count", sum(map(len, tree.ephemerals.values()))
    yield "watch_count", server.watches.total_count
    yield "approximate_data_size", tree.data_size
    yield "global_sessions", len(tree.sessions)
    yield "local_sessions", len(server.tracker.locals())
    yield "open_file_descriptor_count", open_descriptors
    yield "max_file_descriptor_count", max_descriptors
    yield "uptime", int((server.clock() - service.facts.started) * 1000)
    yield "connection_drop_probability", "0.0"
    yield "auth_failed_count", 0
    yield "non_mtls_remote_conn_count", 0
    yield "non_mtls_local_conn_count", 0
    yield "outstanding_tls_handshake", 0
    yield "last_client_response_size", _UNKNOWN
    yield "min_client_response_size", _UNKNOWN
    yield "max_client_response_size", _UNKNOWN
    if tree.quotas.active:
        yield from _quotas(tree).items()


def _quotas(tree: DataTree) -> dict[str, int]:
    """Limits and usage by the first component of the path, under which nested quotas are added up.

    A hard limit hides the soft one.
    """
    sums: dict[str, int] = {}
    for subtree in tree.quotas.trie.prefixes():
        namespace = subtree[1:].partition(b"/")[0].decode("utf-8", "replace")
        limits = _track(tree, limits_path(subtree))
        usage = _track(tree, stats_path(subtree))
        values: dict[str, int] = {}
        if limits is not None:
            hard = limits.count_hard_limit
            values["quota_count_limit"] = hard if hard > -1 else limits.count
            hard = limits.byte_hard_limit
            values["quota_bytes_limit"] = hard if hard > -1 else limits.bytes
        if usage is not None:
            values["quota_count_usage"] = usage.count
            values["quota_bytes_usage"] = usage.bytes
        for kind, value in values.items():
            name = f"{namespace}_{kind}_per_namespace"
            sums[name] = sums.get(name, 0) + value
    return sums


def _track(tree: DataTree, path: bytes) -> StatsTrack | None:
    node = tree.nodes.get(path)
    if node is None:
        return None
    try:
        return StatsTrack.parse(node.data)
    except MalformedQuotaError:
        return None


def _basic(name: str, summary: Summary) -> str:
    return (
        f"zk_avg_{name}\t{average(summary.total, summary.count)}\n"
        f"zk_min_{name}\t{summary.min}\n"
        f"zk_max_{name}\t{summary.max}\n"
        f"zk_cnt_{name}\t{summary.count}\n"
        f"zk_sum_{name}\t{summary.total}\n"
    )
