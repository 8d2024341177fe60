"""Keys of access and operation: authentication, TLS, admin server, metrics, audit."""

from __future__ import annotations

from typing import Final

from zkpy.config.key import NO_EFFECT, NOT_YET, Key, Kind

_JVM: Final = NO_EFFECT + "a facility of the JVM"

AUTH: Final = (
    Key("skipACL", "S", Kind.YES, False, field="skip_acl"),
    Key("enableEagerACLCheck", "S", Kind.BOOL, False, field="enable_eager_acl_check", status=NOT_YET),
    Key("authProvider.", "S", Kind.TEXT, None, "class", "auth_providers", family=True),
    Key("DigestAuthenticationProvider.enabled", "S", Kind.BOOL, True, field="digest_auth_enabled"),
    Key("DigestAuthenticationProvider.superDigest", "S", Kind.TEXT, None, "super:hash", "super_digest"),
    Key("DigestAuthenticationProvider.digestAlg", "S", Kind.TEXT, "SHA1", "algorithm", "digest_alg"),
    Key("X509AuthenticationProvider.superUser", "S", Kind.TEXT, None, "name", "x509_super_user", NOT_YET),
    Key("SASLAuthenticationProvider.superPassword", "S", Kind.TEXT, None, "password", status=NOT_YET),
    Key("superUser", "S", Kind.TEXT, None, "SASL id", status=NOT_YET),
    Key("superUser.", "S", Kind.TEXT, None, "SASL id", status=NOT_YET, family=True),
    Key("letAnySaslUserDoX", "S", Kind.TEXT, None, "SASL id", status=NOT_YET),
    Key("allowSaslFailedClients", "S", Kind.BOOL, False, field="allow_sasl_failed_clients", status=NOT_YET),
    Key("sessionRequireClientSASLAuth", "S", Kind.BOOL, False, field="session_require_client_sasl_auth"),
    Key("enforce.auth.enabled", "S", Kind.BOOL, False, field="enforce_auth_enabled"),
    Key("enforce.auth.schemes", "S", Kind.TEXT, None, "comma list", "enforce_auth_schemes"),
    Key("sasl.serverconfig", "S", Kind.TEXT, "Server", "JAAS section", status=NOT_YET),
    Key("kerberos.removeHostFromPrincipal", "S", Kind.BOOL, False, status=NOT_YET),
    Key("kerberos.removeRealmFromPrincipal", "S", Kind.BOOL, False, status=NOT_YET),
    Key("kerberos.canonicalizeHostNames", "S", Kind.BOOL, False, status=NOT_YET),
    Key("security.auth_to_local", "S", Kind.TEXT, "DEFAULT", "rules", status=NOT_YET),
    Key("requireKerberosConfig", "S", Kind.BOOL, None, status=NOT_YET, default_text="unset"),
    Key("kinit", "S", Kind.TEXT, "/usr/bin/kinit", "command", status=_JVM),
    Key("kerberos.minReLoginTimeMs", "S", Kind.INT, 60_000, "ms", status=NOT_YET),
    Key("zookeeper.server.realm", "J", Kind.TEXT, None, "realm", status=NOT_YET),
    Key("ensembleAuthName", "S", Kind.TEXT, None, "comma list", "ensemble_auth_names"),
    Key(
        "IPAuthenticationProvider.usexforwardedfor",
        "S",
        Kind.BOOL,
        False,
        field="ip_auth_use_x_forwarded_for",
        status=NOT_YET,
    ),
)

_STORE_KINDS: Final = "JKS, PEM, PKCS12, BCFKS"


def _tls_keys(prefix: str, verify_clients: bool, protocols: str) -> tuple[Key, ...]:
    """The key set that exists twice, for client ports and for server-to-server connections."""
    return (
        Key(prefix + "keyStore.location", "S", Kind.TEXT, None, "path", status=NOT_YET),
        Key(
            prefix + "keyStore.password", "S", Kind.TEXT, "", "password", status=NOT_YET, default_text="empty"
        ),
        Key(prefix + "keyStore.passwordPath", "S", Kind.TEXT, None, "path", status=NOT_YET),
        Key(prefix + "keyStore.type", "S", Kind.TEXT, None, _STORE_KINDS, None, NOT_YET, "from extension"),
        Key(prefix + "trustStore.location", "S", Kind.TEXT, None, "path", status=NOT_YET),
        Key(
            prefix + "trustStore.password",
            "S",
            Kind.TEXT,
            "",
            "password",
            status=NOT_YET,
            default_text="empty",
        ),
        Key(prefix + "trustStore.passwordPath", "S", Kind.TEXT, None, "path", status=NOT_YET),
        Key(prefix + "trustStore.type", "S", Kind.TEXT, None, _STORE_KINDS, None, NOT_YET, "from extension"),
        Key(prefix + "protocol", "S", Kind.TEXT, "TLSv1.3", "protocol", status=NOT_YET),
        Key(prefix + "enabledProtocols", "S", Kind.TEXT, None, "comma list", None, NOT_YET, protocols),
        Key(prefix + "ciphersuites", "S", Kind.TEXT, None, "comma list", None, NOT_YET, "ECDHE with AES"),
        Key(prefix + "clientAuth", "S", Kind.TEXT, "need", "none, want or need", status=NOT_YET),
        Key(prefix + "hostnameVerification", "S", Kind.BOOL, True, status=NOT_YET),
        Key(prefix + "clientHostnameVerification", "S", Kind.BOOL, verify_clients, status=NOT_YET),
        Key(prefix + "allowReverseDnsLookup", "S", Kind.BOOL, verify_clients, status=NOT_YET),
        Key(prefix + "crl", "S", Kind.BOOL, False, status=NOT_YET),
        Key(prefix + "ocsp", "S", Kind.BOOL, False, status=NOT_YET),
        Key(
            prefix + "handshakeDetectionTimeoutMillis",
            "S",
            Kind.INT,
            5000,
            "ms",
            status=NOT_YET,
            least=1,
        ),
        Key(
            prefix + "context.supplier.class",
            "S",
            Kind.TEXT,
            None,
            "class",
            status=NO_EFFECT + "a Java class cannot be loaded",
        ),
    )


TLS: Final = (
    *_tls_keys("ssl.", False, "the value of ssl.protocol"),
    Key("ssl.authProvider", "S", Kind.TEXT, "x509", "scheme", status=NOT_YET),
    Key(
        "ssl.sslProvider", "S", Kind.TEXT, "JDK", "provider", status=NO_EFFECT + "the TLS library is OpenSSL"
    ),
    *_tls_keys("ssl.quorum.", True, "TLSv1.2, TLSv1.3"),
    Key("sslQuorum", "P", Kind.STRICT_BOOL, False, field="ssl_quorum", status=NOT_YET),
    Key("portUnification", "P", Kind.STRICT_BOOL, False, field="port_unification", status=NOT_YET),
    Key(
        "sslQuorumReloadCertFiles",
        "P",
        Kind.STRICT_BOOL,
        False,
        field="ssl_quorum_reload_cert_files",
        status=NOT_YET,
    ),
    Key("client.portUnification", "S", Kind.BOOL, False, status=NOT_YET),
    Key("client.certReload", "S", Kind.BOOL, False, status=NOT_YET),
    Key("fips-mode", "S", Kind.BOOL, True, status=NOT_YET),
)

ADMIN: Final = (
    Key("admin.enableServer", "S", Kind.NOT_FALSE, True, field="admin_enable_server", status=NOT_YET),
    Key("admin.serverAddress", "S", Kind.TEXT, "0.0.0.0", "host", "admin_server_address", status=NOT_YET),
    Key("admin.serverPort", "S", Kind.INT, 8080, "port", "admin_server_port", status=NOT_YET),
    Key("admin.commandURL", "S", Kind.TEXT, "/commands", "path", "admin_command_url", status=NOT_YET),
    Key("admin.idleTimeout", "S", Kind.INT, 30_000, "ms", "admin_idle_timeout_ms", status=NOT_YET),
    Key("admin.httpVersion", "S", Kind.INT, 11, status=NO_EFFECT + "the admin server speaks HTTP/1.1"),
    Key("admin.portUnification", "S", Kind.BOOL, False, field="admin_port_unification", status=NOT_YET),
    Key("admin.forceHttps", "S", Kind.BOOL, False, field="admin_force_https", status=NOT_YET),
    Key("admin.needClientAuth", "S", Kind.BOOL, False, field="admin_need_client_auth", status=NOT_YET),
    Key("admin.snapshot.enabled", "S", Kind.BOOL, True, field="admin_snapshot_enabled", status=NOT_YET),
    Key("admin.restore.enabled", "S", Kind.BOOL, True, field="admin_restore_enabled", status=NOT_YET),
    Key(
        "admin.rateLimiterIntervalInMS",
        "S",
        Kind.DECIMAL,
        300_000,
        "ms",
        "admin_rate_limiter_interval_ms",
        status=NOT_YET,
    ),
    Key(
        "4lw.commands.whitelist", "S", Kind.TEXT, None, "comma list", "four_letter_words", default_text="srvr"
    ),
    Key(
        "metricsProvider.className",
        "P",
        Kind.TEXT,
        "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider",
        "class",
        "metrics_provider_class",
        NOT_YET,
    ),
    Key(
        "metricsProvider.",
        "P",
        Kind.TEXT,
        None,
        "provider setting",
        "metrics_provider_options",
        NOT_YET,
        family=True,
    ),
    Key("audit.enable", "S", Kind.BOOL, False, field="audit_enable", status=NOT_YET),
    Key(
        "audit.impl.class",
        "S",
        Kind.TEXT,
        None,
        "class",
        None,
        NO_EFFECT + "a Java class cannot be loaded",
        "the logger",
    ),
    Key("jmx.log4j.disable", "S", Kind.BOOL, False, status=NO_EFFECT + "zkpy has no JMX"),
)
