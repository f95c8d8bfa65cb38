"""What Trino says to a wrong password, and Python to Trino's certificate where its authority is not known."""

from __future__ import annotations

import base64
import json
import ssl
import sys
import urllib.error
import urllib.request

url = json.load(sys.stdin)["url"]
stranger = {"X-Trino-User": "bi", "Authorization": f"Basic {base64.b64encode(b'bi:wrong').decode()}"}
said = []
try:
    request = urllib.request.Request(f"{url}/v1/statement", b"SELECT 1", stranger)
    urllib.request.urlopen(request, context=ssl._create_unverified_context(), timeout=20)
except urllib.error.HTTPError as error:
    said.append(str(error.code))
try:
    urllib.request.urlopen(f"{url}/v1/info", timeout=20)
except urllib.error.URLError as error:
    said.append(type(error.reason).__name__)
sys.stdout.write(json.dumps(said))
