"""How Spark's reader and kafka-python come in at the broker: as the account over TLS, where the settings name one."""

from __future__ import annotations

import ssl
from typing import Any

from spark_jobs.settings import Account, Settings


def spark_options(settings: Settings) -> dict[str, str]:
    """Options of Spark's Kafka source."""
    options = {"kafka.bootstrap.servers": settings.kafka_bootstrap_servers}
    if (account := settings.kafka_account) is None:
        return options
    login = "org.apache.kafka.common.security.scram.ScramLoginModule"
    return options | {
        "kafka.security.protocol": "SASL_SSL",
        "kafka.sasl.mechanism": "SCRAM-SHA-512",
        "kafka.sasl.jaas.config": f"{login} required username={_quoted(account.user)} "
        f"password={_quoted(account.password())};",
        "kafka.ssl.truststore.type": "PEM",
        "kafka.ssl.truststore.location": str(account.ca_file),
    }


def _quoted(text: str) -> str:
    """A value as a JAAS line writes it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def client_options(account: Account | None) -> dict[str, Any]:
    """Options of kafka-python's clients."""
    if account is None:
        return {}
    return {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": account.user,
        "sasl_plain_password": account.password(),
        "ssl_context": ssl.create_default_context(cafile=str(account.ca_file)),
    }
