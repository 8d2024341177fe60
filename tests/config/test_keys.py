"""The key table: complete, consistent with the settings object, and honest about what works."""

from __future__ import annotations

import attrs
import pytest

from zkpy.config import (
    IMPLEMENTED,
    KEYS,
    NO_EFFECT,
    NOT_YET,
    Config,
    EnsembleConfig,
    closest_name,
    find_key,
    parse_config,
)

# Every key that ZooKeeper 3.9 servers know, by class and subject.
PARSED = """
dataDir dataLogDir clientPort clientPortAddress secureClientPort secureClientPortAddress
clientPortListenBacklog tickTime maxClientCnxns minSessionTimeout maxSessionTimeout autopurge.snapRetainCount
autopurge.purgeInterval jvm.pause.monitor jvm.pause.sleep.time.ms jvm.pause.warn-threshold.ms
jvm.pause.info-threshold.ms server.1 group.1 weight.1 initLimit syncLimit connectToLearnerMasterLimit
electionAlg peerType syncEnabled observerMasterPort quorumListenOnAllIPs standaloneEnabled reconfigEnabled
dynamicConfigFile localSessionsEnabled localSessionsUpgradingEnabled multiAddress.enabled
multiAddress.reachabilityCheckEnabled multiAddress.reachabilityCheckTimeoutMs oraclePath
quorum.cnxn.threads.size version quorum.auth.enableSasl quorum.auth.learnerRequireSasl
quorum.auth.serverRequireSasl quorum.auth.learner.saslLoginContext quorum.auth.server.saslLoginContext
quorum.auth.kerberos.servicePrincipal sslQuorum portUnification sslQuorumReloadCertFiles
metricsProvider.className metricsProvider.httpPort
"""
FALL_THROUGH = """
datadir.autocreate db.autocreate snapCount snapSizeLimitInKb txnLogSizeLimitInKb preAllocSize forceSync
fsync.warningthresholdms flushDelay maxWriteQueuePollTime maxBatchSize commitLogCount snapshotSizeFactor
snapshot.compression.method snapshot.trust.empty serializeLastProcessedZxid.enabled digest.enabled
closeSessionTxn.enabled forceSnapshotSync extendedTypesEnabled emulate353TTLNodes jute.maxbuffer.extrasize
serverCnxnFactory maxCnxns clientTcpKeepAlive tcpKeepAlive nio.sessionlessCnxnTimeout nio.numSelectorThreads
nio.numWorkerThreads nio.directBufferBytes nio.shutdownTimeout commitProcessor.numWorkerThreads
commitProcessor.shutdownTimeout commitProcessor.maxReadBatchSize commitProcessor.maxCommitBatchSize
netty.advancedFlowControl.enabled netty.server.outstandingHandshake.limit
netty.server.earlyDropSecureConnectionHandshakes intBufferStartingSizeBytes maxResponseCacheSize
maxGetChildrenResponseCacheSize electionPortBindRetry cnxTimeout quorumCnxnTimeoutMs
fastleader.minNotificationInterval fastleader.maxNotificationInterval leaderConnectDelayDuringRetryMs
leader.maxTimeToWaitForEpoch leader.ackLoggingFrequency leader.maxConcurrentSnapSyncs
leader.maxConcurrentDiffSyncs leader.closeSocketAsync learner.closeSocketAsync learner.asyncSending
leaderServes follower.skipLearnerRequestToNextProcessor forward_learner_requests_to_commit_processor_disabled
observer.reconnectDelayMs observer.election.DelayMs observer.syncEnabled observerMaster.sizeLimit
messageTracker.BufferSize messageTracker.Enabled globalOutstandingLimit request_throttle_max_requests
request_throttle_stall_time request_throttle_drop_stale request_stale_connection_check
request_stale_latency_check request_throttler.shutdownTimeout throttled_op_wait_time largeRequestMaxBytes
largeRequestThreshold connection_throttle_tokens connection_throttle_fill_time connection_throttle_fill_count
connection_throttle_freeze_time connection_throttle_drop_increase connection_throttle_drop_decrease
connection_throttle_decrease_ratio connection_throttle_weight_enabled
connection_throttle_global_session_weight connection_throttle_renew_session_weight
connection_throttle_local_session_weight enforceQuota watchManagerName watcherCleanThreshold
watcherCleanIntervalInSeconds watcherCleanThreadsNum maxInProcessingDeadWatchers bitHashCacheSize
pathStats.enabled pathStats.slotCapacity pathStats.slotDuration pathStats.maxDepth pathStats.sampleRate
pathStats.initialDelay pathStats.delay pathStats.topPathMax skipACL enableEagerACLCheck authProvider.mine
DigestAuthenticationProvider.enabled DigestAuthenticationProvider.superDigest
DigestAuthenticationProvider.digestAlg X509AuthenticationProvider.superUser
SASLAuthenticationProvider.superPassword superUser superUser.mine letAnySaslUserDoX allowSaslFailedClients
sessionRequireClientSASLAuth enforce.auth.enabled enforce.auth.schemes sasl.serverconfig
kerberos.removeHostFromPrincipal kerberos.removeRealmFromPrincipal kerberos.canonicalizeHostNames
security.auth_to_local requireKerberosConfig kinit kerberos.minReLoginTimeMs ensembleAuthName
IPAuthenticationProvider.usexforwardedfor ssl.authProvider ssl.sslProvider client.portUnification
client.certReload fips-mode admin.enableServer admin.serverAddress admin.serverPort admin.commandURL
admin.idleTimeout admin.httpVersion admin.portUnification admin.forceHttps admin.needClientAuth
admin.snapshot.enabled admin.restore.enabled admin.rateLimiterIntervalInMS 4lw.commands.whitelist audit.enable
audit.impl.class jmx.log4j.disable testingonly.initialZxid test.allowDiscontinuousProposals controllerPort
"""
TLS_SUFFIXES = """
keyStore.location keyStore.password keyStore.passwordPath keyStore.type trustStore.location
trustStore.password trustStore.passwordPath trustStore.type protocol enabledProtocols ciphersuites clientAuth
hostnameVerification clientHostnameVerification allowReverseDnsLookup crl ocsp
handshakeDetectionTimeoutMillis context.supplier.class
"""
JAVA_ONLY = """
jute.maxbuffer leader.nodelay follower.nodelay readonlymode.enabled znode.container.checkIntervalMs
znode.container.maxPerMinute znode.container.maxNeverUsedIntervalMs zookeeper.server.realm
"""
OWN = "quorumReads"
TLS = [prefix + suffix for prefix in ("ssl.", "ssl.quorum.") for suffix in TLS_SUFFIXES.split()]


@pytest.mark.parametrize(
    ("names", "origin"), [(PARSED.split(), "P"), (FALL_THROUGH.split() + TLS, "S"), (JAVA_ONLY.split(), "J")]
)
def test_every_key_of_zookeeper_is_in_the_table_with_its_class(names: list[str], origin: str) -> None:
    for name in names:
        key = find_key(name)
        assert key is not None, name
        assert key.origin == origin, name


def test_the_table_has_no_other_key_but_our_own() -> None:
    known = {find_key(name) for name in (PARSED + FALL_THROUGH + JAVA_ONLY + OWN).split() + TLS}
    assert [key.name for key in KEYS if key not in known] == []
    assert len({key.name for key in KEYS}) == len(KEYS)


def test_every_field_comes_from_exactly_one_key() -> None:
    fields = [key.field for key in KEYS if key.field is not None]
    made_by_the_parser = {"ensemble", "properties", "warnings", "file", "lines", "text"}
    made_by_the_parser |= {"hierarchical", "my_id"}
    settings = [field.name for cls in (Config, EnsembleConfig) for field in attrs.fields(cls)]
    assert sorted(fields) == sorted(name for name in settings if name not in made_by_the_parser)


def test_every_status_says_what_works() -> None:
    for key in KEYS:
        assert key.status in (IMPLEMENTED, NOT_YET) or len(key.status) > len(NO_EFFECT)
        assert key.status in (IMPLEMENTED, NOT_YET) or key.status.startswith(NO_EFFECT)
        assert key.implemented == (key.status == IMPLEMENTED)
        assert not (key.status.startswith(NO_EFFECT) and key.field), key.name


def test_every_default_can_be_documented() -> None:
    shown = {key.name: key.documented_default for key in KEYS}
    assert all(
        shown[key.name] or key.name == "snapshot.compression.method" for key in KEYS if key.default != ""
    )
    assert shown["tickTime"] == "3000"
    assert shown["forceSync"] == "yes"
    assert shown["skipACL"] == "no"
    assert shown["digest.enabled"] == "true"
    assert shown["clientPort"] == "none"
    assert shown["dataLogDir"] == "dataDir"


def test_every_default_is_what_an_empty_configuration_gets() -> None:
    config = parse_config("dataDir=/d", "zoo.cfg")
    derived = {
        "data_dir": "/d",
        "data_log_dir": "/d",
        "min_session_timeout_ms": 6000,
        "max_session_timeout_ms": 60000,
        "txn_log_size_limit_kb": 0,
        "jute_max_buffer_extra": 1048575,
        "auth_providers": {},
        "enforce_auth_schemes": (),
        "ensemble_auth_names": frozenset(),
        "four_letter_words": frozenset({"srvr"}),
        "metrics_provider_options": {},
        "servers": (),
        "groups": {},
        "weights": {},
        "version": 0,
    }
    for key in KEYS:
        if key.field is None:
            continue
        holder = config if hasattr(config, key.field) else config.ensemble
        assert getattr(holder, key.field) == derived.get(key.field, key.default), key.name
    assert config.warnings == ()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("snapcount", "snapCount"),
        ("ticTime", "tickTime"),
        ("zookeeper.snapCount", "snapCount"),
        ("zookeeper.clientport", "clientPort"),
        ("requestThrottleLimit", "request_throttle_max_requests"),
        ("autopurge.purgeinterval", "autopurge.purgeInterval"),
        ("completely.different", None),
        ("", None),
    ],
)
def test_a_near_miss_finds_the_key_that_was_meant(name: str, meant: str | None) -> None:
    assert closest_name(name) == meant


def test_properties_are_named_as_java_names_them() -> None:
    names = {key.name: key.property_name for key in KEYS}
    assert names["tickTime"] is None
    assert names["snapCount"] == "zookeeper.snapCount"
    assert names["jute.maxbuffer"] == "jute.maxbuffer"
