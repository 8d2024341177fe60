"""Authentication, four-letter words, digests and metrics: what several settings decide together."""

from __future__ import annotations

import pytest

from zkpy.config import Config, parse_config
from zkpy.errors import ConfigError

PROVIDERS = "org.apache.zookeeper.server.auth."


def parse(text: str, **defines: str) -> Config:
    return parse_config("dataDir=/d\n" + text, "zoo.cfg", defines)


def test_only_srvr_is_allowed_until_the_whitelist_says_more() -> None:
    config = parse("")
    assert config.allows_word("srvr")
    assert not config.allows_word("ruok")
    config = parse("4lw.commands.whitelist= ruok , stat,,")
    assert config.four_letter_words == {"srvr", "ruok", "stat"}
    assert parse("4lw.commands.whitelist=ruok,*").allows_word("anything")


def test_read_only_mode_allows_isro_if_it_is_written_exactly_so() -> None:
    assert parse("", **{"readonlymode.enabled": "true"}).allows_word("isro")
    config = parse("", **{"readonlymode.enabled": "True"})
    assert config.read_only_mode and not config.allows_word("isro")


def test_providers_come_from_the_file_and_from_defines() -> None:
    config = parse(
        f"authProvider.a={PROVIDERS}SASLAuthenticationProvider",
        **{"zookeeper.authProvider.b": PROVIDERS + "X509AuthenticationProvider"},
    )
    assert config.auth_providers == {
        "a": PROVIDERS + "SASLAuthenticationProvider",
        "b": PROVIDERS + "X509AuthenticationProvider",
    }


def test_a_provider_class_that_cannot_be_loaded_is_skipped_with_a_warning() -> None:
    assert parse("authProvider.1=my.Provider").warnings == (
        "zoo.cfg:2: Problems loading my.Provider: this authentication provider is skipped",
    )


def test_a_secure_port_registers_the_certificate_provider() -> None:
    config = parse("secureClientPort=2281")
    assert config.auth_providers == {"x509": PROVIDERS + "X509AuthenticationProvider"}
    assert config.properties["zookeeper.authProvider.x509"] == PROVIDERS + "X509AuthenticationProvider"


@pytest.mark.parametrize(
    ("text", "schemes"),
    [
        ("enforce.auth.enabled=true\nenforce.auth.schemes=digest, ip", ("digest", "ip")),
        ("enforce.auth.schemes=nonsense", ("nonsense",)),
        (
            f"sessionRequireClientSASLAuth=true\nauthProvider.1={PROVIDERS}SASLAuthenticationProvider",
            ("sasl",),
        ),
        (
            f"enforce.auth.enabled=true\nenforce.auth.schemes=x509\n"
            f"authProvider.x={PROVIDERS}X509AuthenticationProvider",
            ("x509",),
        ),
    ],
)
def test_enforced_schemes_are_a_list(text: str, schemes: tuple[str, ...]) -> None:
    config = parse(text)
    assert config.enforce_auth_schemes == schemes
    assert config.enforce_auth_enabled == ("nonsense" not in schemes)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("enforce.auth.enabled=true", "zoo.cfg:2: zookeeper.enforce.auth.enabled is true"),
        (
            "enforce.auth.enabled=true\nenforce.auth.schemes=,",
            "zoo.cfg:3: zookeeper.enforce.auth.enabled is true",
        ),
        (
            "enforce.auth.enabled=true\nenforce.auth.schemes=digest,foo",
            "zoo.cfg:3: Authentication scheme foo is not available.",
        ),
        ("sessionRequireClientSASLAuth=true", "zoo.cfg:2: Authentication scheme sasl is not available."),
        (
            "enforce.auth.enabled=true\nenforce.auth.schemes=digest\nDigestAuthenticationProvider.enabled=false",
            "Authentication scheme digest is not available.",
        ),
        ("DigestAuthenticationProvider.digestAlg=XX", "don't support this ACL digest algorithm: XX"),
        ("watchManagerName=foo", "zoo.cfg:2: Couldn't instantiate foo"),
        ("metricsProvider.className=foo.Bar", "zoo.cfg:2: metrics provider class was not found"),
        ("metricsProvider.className=", "zoo.cfg:2: metrics provider class was not found"),
    ],
)
def test_impossible_combinations_stop_the_start(text: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert str(caught.value).startswith("zoo.cfg:") and why in str(caught.value)


@pytest.mark.parametrize("name", ["SHA1", "sha-256", "SHA3-512", "MD5"])
def test_digests_have_javas_names(name: str) -> None:
    assert parse(f"DigestAuthenticationProvider.digestAlg={name}").digest_alg == name


def test_names_for_the_ensemble_provider_are_a_set() -> None:
    assert parse("ensembleAuthName=a, b").ensemble_auth_names == {"a", "b"}


def test_all_metrics_providers_of_zookeeper_are_known() -> None:
    name = "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider"
    assert parse(f"metricsProvider.className={name}").metrics_provider_class == name
