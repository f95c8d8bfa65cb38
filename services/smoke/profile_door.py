"""The smoke's door of the profile API: a stranger is refused, a key opens as long as it is there; it leaves no key."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Sequence

import requests

from services.profiles import access
from services.profiles.access import READ, Grant
from services.profiles.database import open_database
from services.smoke.doors import Cluster
from spark_jobs.errors import TerminalError
from spark_jobs.settings import Settings

# Nobody's id; nothing is loaded in a cluster that is new. Both are answers to a key that is let in.
_LET_IN = frozenset({"unknown-person", "not-loaded"})
_REFUSED = "unauthorised"
_WRONG = f"dbk_{'0' * 12}_{'A' * 43}"
_WAIT_S = 5 * access.REFRESH_S  # processes know keys, and that they are gone, within REFRESH_S


def profiles_answer_keys_alone(cluster: Cluster, settings: Settings) -> str:
    """On each host that serves profiles; the key is made in the store, and taken out of it again."""
    if settings.profiles is None:
        raise TerminalError("the platform's settings have no [profiles]; run `cluster install`")
    urls, workspace = cluster.profiles["urls"].split(","), settings.workspaces[0].name
    _expect(cluster, urls, _WRONG, {_REFUSED})
    with contextlib.closing(open_database(settings.profiles.url)) as database:
        grant = Grant(f"smoke-{cluster.mark}", frozenset({READ}), frozenset({workspace}), rate=100, burst=100)
        key_id, key = access.create(database, grant, days=1)
        try:
            said = _expect(cluster, urls, key, _LET_IN)
        finally:
            access.forget(database, key_id)
    _expect(cluster, urls, key, {_REFUSED})
    state = "nothing is loaded yet" if "not-loaded" in said else "a snapshot is served"
    return f"{len(urls)} hosts let a new key in and a wrong one not, nor the first once it was gone; {state}"


def _expect(cluster: Cluster, urls: Sequence[str], key: str, wanted: frozenset[str] | set[str]) -> set[str]:
    """What each address says to a key, when it says something that is wanted; TerminalError where one does not."""
    said = set()
    for url in urls:
        until = time.monotonic() + _WAIT_S
        while (problem := _problem(cluster, url, key)) not in wanted:
            if time.monotonic() > until:
                raise TerminalError(
                    f"{url} says {problem}, wanted {' or '.join(sorted(wanted))}; look at databank-profiles' journal"
                )
            time.sleep(0.2)
        said.add(problem)
    return said


def _problem(cluster: Cluster, url: str, key: str) -> str:
    """The name of the problem that a question about nobody ends with."""
    address, headers = f"{url}/v1/profiles/person_id/{uuid.uuid4()}", {"Authorization": f"Bearer {key}"}
    answer = requests.get(address, headers=headers, verify=cluster.ca_file, timeout=30)
    return str(answer.json().get("type", answer.status_code)).rpartition(":")[2]
