"""How the settings of authentication, of the four-letter words and of the metrics provider combine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from zkpy.config.properties import trim
from zkpy.config.reading import Reader
from zkpy.config.settings import ALL_WORDS

# Message digests that every JVM offers, by Java's names in upper case.
JVM_DIGESTS: Final = frozenset(
    f"{family}{size}"
    for family, sizes in (
        ("MD", ("2", "5")),
        ("SHA", ("", "1", "-1", "-224", "-256", "-384", "-512", "-512/224", "-512/256")),
        ("SHA3", ("-224", "-256", "-384", "-512")),
    )
    for size in sizes
)

# Schemes of the providers that come with ZooKeeper, by class name.
PROVIDER_SCHEMES: Final[Mapping[str, str]] = {
    f"org.apache.zookeeper.server.auth.{name}": scheme
    for name, scheme in (
        ("IPAuthenticationProvider", "ip"),
        ("DigestAuthenticationProvider", "digest"),
        ("X509AuthenticationProvider", "x509"),
        ("SASLAuthenticationProvider", "sasl"),
        ("KeyAuthenticationProvider", "auth"),
        ("EnsembleAuthenticationProvider", "ensemble"),
    )
}

X509_PROVIDER: Final = "org.apache.zookeeper.server.auth.X509AuthenticationProvider"
_AUTH_PROPERTY: Final = "zookeeper.authProvider."

METRICS_PROVIDERS: Final = frozenset(
    (
        "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider",
        "org.apache.zookeeper.metrics.impl.NullMetricsProvider",
        "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider",
    )
)

_WATCH_MANAGERS: Final = frozenset(
    f"org.apache.zookeeper.server.watch.{name}" for name in ("WatchManager", "WatchManagerOptimized")
)


def derive_access(values: dict[str, Any], reader: Reader) -> None:
    """Fill in the fields that several settings decide together; raises ``ConfigError``."""
    _auth_providers(values, reader)
    _enforced_schemes(values, reader)
    names = values["ensemble_auth_names"]
    values["ensemble_auth_names"] = frozenset(_comma_list(names)) if names is not None else frozenset()
    values["four_letter_words"] = _words(values["four_letter_words"], reader)
    if values["digest_alg"].upper() not in JVM_DIGESTS:
        reader.fail(
            f"don't support this ACL digest algorithm: {values['digest_alg']} in the current environment",
            "Choose one such as SHA1 or SHA-256, the same on all servers",
            "DigestAuthenticationProvider.digestAlg",
        )
    manager = reader.properties.get("zookeeper.watchManagerName")
    if manager is not None and manager not in _WATCH_MANAGERS:
        reader.fail(f"Couldn't instantiate {manager}", "Remove the line", "watchManagerName")
    if values["metrics_provider_class"] not in METRICS_PROVIDERS:
        reader.fail(
            "metrics provider class was not found",
            f"{values['metrics_provider_class']!r} is none of {', '.join(sorted(METRICS_PROVIDERS))}",
            "metricsProvider.className",
        )
    values["metrics_provider_options"] = {
        name.removeprefix("metricsProvider."): entry.value
        for name, entry in reader.entries.items()
        if name.startswith("metricsProvider.") and name != "metricsProvider.className"
    }


def _auth_providers(values: dict[str, Any], reader: Reader) -> None:
    if values["secure_client_port"] is not None:
        reader.properties.setdefault(_AUTH_PROPERTY + "x509", X509_PROVIDER)
    providers = {
        name.removeprefix(_AUTH_PROPERTY): class_name
        for name, class_name in reader.properties.items()
        if name.startswith(_AUTH_PROPERTY)
    }
    for suffix, class_name in providers.items():
        if class_name not in PROVIDER_SCHEMES:
            # Java skips a class it cannot load in the same way.
            reader.warn(
                f"Problems loading {class_name}: this authentication provider is skipped",
                f"authProvider.{suffix}",
            )
    values["auth_providers"] = providers


def _enforced_schemes(values: dict[str, Any], reader: Reader) -> None:
    listed = values["enforce_auth_schemes"]
    schemes = _comma_list(listed) if listed is not None else ()
    if values["session_require_client_sasl_auth"]:
        values["enforce_auth_enabled"] = True
        schemes = ("sasl",)
    values["enforce_auth_schemes"] = schemes
    if not values["enforce_auth_enabled"]:
        return
    places = ("enforce.auth.schemes", "enforce.auth.enabled", "sessionRequireClientSASLAuth")
    if not schemes:
        reader.fail(
            "zookeeper.enforce.auth.enabled is true zookeeper.enforce.auth.schemes must be  configured",
            "Add a line such as enforce.auth.schemes=digest",
            *places,
        )
    available = {PROVIDER_SCHEMES.get(class_name) for class_name in values["auth_providers"].values()}
    available |= {"ip", "digest"} if values["digest_auth_enabled"] else {"ip"}
    for scheme in schemes:
        if scheme not in available:
            reader.fail(
                f"Authentication scheme {scheme} is not available",
                f"Add an authProvider.<name> line for it, or take {scheme!r} out of enforce.auth.schemes",
                *places,
            )


def _words(whitelist: str | None, reader: Reader) -> frozenset[str]:
    words = {"srvr"}
    # isro follows the property's exact text, unlike the read-only mode itself.
    if reader.properties.get("readonlymode.enabled") == "true":
        words.add("isro")
    if whitelist is not None:
        words.update(word for word in _comma_list(whitelist) if word)
    return frozenset((ALL_WORDS,)) if ALL_WORDS in words else frozenset(words)


def _comma_list(text: str) -> tuple[str, ...]:
    """Comma-separated items, trimmed; like Java's split, the empty items at the end do not count."""
    items: Iterable[str] = text.rstrip(",").split(",") if text.strip(",") or not text else ()
    return tuple(trim(item) for item in items)
