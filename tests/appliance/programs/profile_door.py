"""What the profile API says at its door; told: `host`, `client` (an address of this machine that may ask) and `key`.

In this order: a stranger, a client in clear, one that does not know the authority, a wrong key, none, the right one.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import sys

PORT, WAIT_S = 8360, 20
PATH = "/v1/profiles/person_id/00000000-0000-4000-8000-000000000000"
told = json.load(sys.stdin)
blind = ssl._create_unverified_context()
source = (told["client"], 0)


def asked(connection: http.client.HTTPConnection, key: str = "") -> str:
    """The status and the problem of an answer, or the name of the error."""
    try:
        connection.request("GET", PATH, headers={"Authorization": f"Bearer {key}"} if key else {})
        answer = connection.getresponse()
        body = json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        return type(error).__name__
    return f"{answer.status} {body.get('type', '').rpartition(':')[2]}"


def over_tls(context: ssl.SSLContext) -> http.client.HTTPSConnection:
    """A connection of the client."""
    return http.client.HTTPSConnection(told["host"], PORT, context=context, source_address=source, timeout=WAIT_S)


try:
    socket.create_connection((told["host"], PORT), timeout=2).close()
    said = ["open"]
except OSError:
    said = ["closed"]
said.append(asked(http.client.HTTPConnection(told["host"], PORT, source_address=source, timeout=WAIT_S)))
said.append(asked(over_tls(ssl.create_default_context()), told["key"]))
said += [asked(over_tls(blind), key) for key in (f"dbk_{'0' * 12}_{'A' * 43}", "", told["key"])]
sys.stdout.write(json.dumps(said))
