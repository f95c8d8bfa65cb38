"""How kafka-python comes in at the broker."""

from __future__ import annotations

import ssl
from typing import Any

from spark_jobs.settings import Account


def options_of(account: Account | None) -> dict[str, Any]:
    """The client's options: SCRAM over TLS as the account, nothing where there is none."""
    if account is None:
        return {}
    return {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": account.user,
        "sasl_plain_password": account.password(),
        "ssl_context": ssl.create_default_context(cafile=str(account.ca_file)),
    }
