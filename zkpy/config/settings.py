"""The result of reading a configuration: one frozen object with a typed field per setting.

Defaults, units and ranges stand in the key tables, not here; build objects with ``parse_config``,
``positional_config`` or ``embedded_config``, and vary them with ``attrs.evolve``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import attrs

PeerType: TypeAlias = Literal["participant", "observer"]

ALL_WORDS = "*"
"""In ``Config.four_letter_words``: every word is allowed."""


@attrs.frozen(slots=True, order=False)
class QuorumAddress:
    """Where one server listens for its peers; hosts are names or addresses, without brackets."""

    host: str
    quorum_port: int
    election_port: int


@attrs.frozen(slots=True, order=False)
class ServerSpec:
    """One member: the parsed value of a ``server.<sid>`` line."""

    sid: int
    addresses: tuple[QuorumAddress, ...]
    role: PeerType = "participant"
    client_host: str | None = None
    """None: the line has no client part."""
    client_port: int | None = None
    line: int | None = attrs.field(default=None, eq=False)

    def value(self) -> str:
        """The canonical text after ``server.<sid>=``, as the config znode and dynamic files hold it."""
        hosts = "|".join(
            f"{_bracketed(address.host)}:{address.quorum_port}:{address.election_port}"
            for address in sorted(self.addresses, key=lambda address: address.host)
        )
        client = f";{_bracketed(self.client_host)}:{self.client_port}" if self.client_host is not None else ""
        return f"{hosts}:{self.role}{client}"


@attrs.frozen(slots=True, order=False, kw_only=True)
class EnsembleConfig:
    """Members and everything that matters between servers. A server on its own has no ``servers``."""

    servers: tuple[ServerSpec, ...]
    """Ordered by sid."""
    groups: Mapping[int, tuple[int, ...]]
    """Group id to member sids; empty: every voter counts the same (majority quorum)."""
    weights: Mapping[int, int]
    """Votes per sid; filled for every voter when quorums are hierarchical."""
    hierarchical: bool
    version: int
    """Zxid of the reconfiguration that made this member list."""
    my_id: int | None
    """The number in the ``myid`` file; None until ``with_myid``, or when there is no such file."""

    init_limit_ticks: int
    sync_limit_ticks: int
    connect_to_learner_master_limit_ticks: int
    """0: ``init_limit_ticks`` counts."""
    election_alg: int
    peer_type: PeerType
    sync_enabled: bool
    observer_master_port: int
    """0 or less: off."""
    quorum_listen_on_all_ips: bool
    standalone_enabled: bool
    dynamic_config_file: str | None
    local_sessions_enabled: bool
    local_sessions_upgrading_enabled: bool
    quorum_reads: bool
    multi_address_enabled: bool
    oracle_path: str | None

    quorum_sasl_enabled: bool
    quorum_learner_require_sasl: bool
    quorum_server_require_sasl: bool
    quorum_learner_login_context: str
    quorum_server_login_context: str
    quorum_service_principal: str
    ssl_quorum: bool
    port_unification: bool
    ssl_quorum_reload_cert_files: bool

    snapshot_size_factor: float
    """Share of the snapshot's size up to which a sync reads the transaction log; negative: never."""
    force_snapshot_sync: bool
    quorum_tcp_keep_alive: bool
    election_port_bind_retry: int
    """0: for ever."""
    election_connect_timeout_ms: int
    quorum_cnxn_timeout_ms: int
    """-1: tickTime x syncLimit."""
    min_notification_interval_ms: int
    max_notification_interval_ms: int
    leader_connect_retry_delay_ms: int
    leader_max_time_to_wait_for_epoch_ms: int
    """-1: for ever."""
    leader_ack_logging_frequency: int
    leader_max_concurrent_snap_syncs: int
    leader_max_concurrent_diff_syncs: int
    leader_serves: bool
    observer_reconnect_delay_ms: int
    observer_election_delay_ms: int
    message_tracker_buffer_size: int
    message_tracker_enabled: bool
    leader_nodelay: bool
    follower_nodelay: bool

    @property
    def voters(self) -> tuple[ServerSpec, ...]:
        """The members that vote, ordered by sid."""
        return tuple(server for server in self.servers if server.role == "participant")

    @property
    def observers(self) -> tuple[ServerSpec, ...]:
        """The members that do not vote, ordered by sid."""
        return tuple(server for server in self.servers if server.role == "observer")

    def member(self, sid: int | None) -> ServerSpec | None:
        """The line of one server; None: it is not in the list."""
        return next((server for server in self.servers if server.sid == sid), None)


@attrs.frozen(slots=True, order=False, kw_only=True)
class Config:
    """Everything one server was told. Units end the names; what 0 or None mean stands below a field."""

    # Basics
    data_dir: str | None
    """Parent of ``version-2`` with the snapshots; None: nothing is stored (memory only)."""
    data_log_dir: str | None
    """The same for transaction logs; equal to ``data_dir`` unless set."""
    client_port: int | None
    """None: no plain listener; 0: any free port."""
    client_port_address: str | None
    """None: all addresses."""
    client_port_listen_backlog: int
    """-1: the platform's default."""
    secure_client_port: int | None
    secure_client_port_address: str | None
    tick_time_ms: int
    max_client_cnxns: int
    """Per client address; 0: no limit."""
    min_session_timeout_ms: int
    max_session_timeout_ms: int
    autopurge_snap_retain_count: int
    autopurge_purge_interval_hours: int
    """0 or less: no purge task."""
    jvm_pause_monitor: bool
    jvm_pause_sleep_time_ms: int
    jvm_pause_warn_threshold_ms: int
    jvm_pause_info_threshold_ms: int

    # Storage
    datadir_autocreate: bool
    db_autocreate: bool
    snap_count: int
    snap_size_limit_kb: int
    """0: off."""
    txn_log_size_limit_kb: int
    """0: off."""
    pre_alloc_size_kb: int
    force_sync: bool
    fsync_warning_threshold_ms: int
    flush_delay_ms: int
    max_batch_size: int
    """0: no limit."""
    commit_log_count: int
    snapshot_compression: Literal["", "gz", "snappy"]
    snapshot_trust_empty: bool
    digest_enabled: bool
    close_session_txn_enabled: bool
    extended_types_enabled: bool
    emulate_353_ttl: bool
    jute_max_buffer: int
    """Bytes of the largest client packet."""
    jute_max_buffer_extra: int
    """Bytes added to the limit when reading from disk and peers."""

    # Connections
    max_cnxns: int
    """0: no limit."""
    client_tcp_keep_alive: bool
    sessionless_cnxn_timeout_ms: int
    read_only_mode: bool
    container_check_interval_ms: int
    container_max_per_minute: int
    container_max_never_used_ms: int
    """0: containers that never had a child stay."""

    # Limits
    global_outstanding_limit: int
    request_throttle_max_requests: int
    """0: off."""
    request_throttle_stall_time_ms: int
    request_throttle_drop_stale: bool
    request_stale_connection_check: bool
    request_stale_latency_check: bool
    request_throttle_shutdown_timeout_ms: int
    throttled_op_wait_time_ms: int
    """0: off."""
    large_request_max_bytes: int
    large_request_threshold_bytes: int
    """-1: off."""
    connection_throttle_tokens: int
    """0: off."""
    connection_throttle_fill_time_ms: int
    connection_throttle_fill_count: int
    connection_throttle_freeze_time_ms: int
    """-1: off."""
    connection_throttle_drop_increase: float
    connection_throttle_drop_decrease: float
    connection_throttle_decrease_ratio: float
    connection_throttle_weight_enabled: bool
    connection_throttle_local_session_weight: int
    connection_throttle_renew_session_weight: int
    connection_throttle_global_session_weight: int
    enforce_quota: bool

    # Authentication and authorisation
    skip_acl: bool
    enable_eager_acl_check: bool
    auth_providers: Mapping[str, str]
    """Suffix of ``authProvider.<suffix>`` to Java class name; ``ip`` and ``digest`` are not listed."""
    digest_auth_enabled: bool
    super_digest: str | None = attrs.field(repr=False)
    """``super:<base64>``; a secret."""
    digest_alg: str
    """Java's name of the algorithm, as written."""
    x509_super_user: str | None
    session_require_client_sasl_auth: bool
    allow_sasl_failed_clients: bool
    enforce_auth_enabled: bool
    """Also on when ``session_require_client_sasl_auth`` is; the schemes are then ``sasl`` alone."""
    enforce_auth_schemes: tuple[str, ...]
    ensemble_auth_names: frozenset[str]
    ip_auth_use_x_forwarded_for: bool

    # Operation
    four_letter_words: frozenset[str]
    """Words that may be executed; ``ALL_WORDS`` in it: every one."""
    reconfig_enabled: bool
    admin_enable_server: bool
    admin_server_address: str
    admin_server_port: int
    admin_command_url: str
    admin_idle_timeout_ms: int
    admin_port_unification: bool
    admin_force_https: bool
    admin_need_client_auth: bool
    admin_snapshot_enabled: bool
    admin_restore_enabled: bool
    admin_rate_limiter_interval_ms: int
    metrics_provider_class: str
    metrics_provider_options: Mapping[str, str]
    """``metricsProvider.<name>`` without the prefix."""
    audit_enable: bool

    ensemble: EnsembleConfig
    properties: Mapping[str, str] = attrs.field(repr=False)
    """Java's view of the system properties: the defines, overwritten by ``zookeeper.<key>`` of the file."""
    warnings: tuple[str, ...]
    """Lines for the log: settings that do something else than their author probably thinks."""
    file: str | None
    """Where the configuration came from; None: not from a file."""
    lines: Mapping[str, int]
    """Line of each key of the file."""
    text: str = attrs.field(repr=False)
    """The file as it was read (admin command ``initial_configuration``)."""

    @property
    def is_quorum(self) -> bool:
        """Whether this asks for a member of an ensemble rather than a standalone server.

        While a dynamic configuration file is named but not yet read (``with_dynamic_config``) the answer is
        about the static file alone.
        """
        return not self.ensemble.standalone_enabled or len(self.ensemble.voters) > 1

    @property
    def memory_only(self) -> bool:
        """Whether nothing is stored on disk."""
        return self.data_dir is None

    def allows_word(self, word: str) -> bool:
        """Whether a four-letter word may be executed."""
        return ALL_WORDS in self.four_letter_words or word in self.four_letter_words


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
