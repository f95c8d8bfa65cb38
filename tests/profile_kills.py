"""kill -9 of loads at random moments, whatever the store is."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

from services.profiles import generations
from services.setup import paths
from tests.profile_lake import WORKSPACE, phone
from tests.profile_service import Place, place
from tests.profile_settings import write_settings
from tests.profile_world import served

PERSONS = 3_000


def kill_loads(folder: Path, key_file: Path, *, url: str, kills: int) -> None:
    """Kill that many loads while they run; those that ended before hit nothing and do not count."""
    settings, chance = write_settings(folder, key_file, url=url), random.Random(7)
    with place(folder, key_file, url=url) as here:
        publish(here)
        here.load()
        publish(here)
        began = time.monotonic()
        finish(settings)
        lasts_s, hit = time.monotonic() - began, 0
        while hit < kills:
            before = served(here.database)
            publish(here)
            process = start(settings)
            time.sleep(chance.uniform(0.3, 1.0) * lasts_s)
            hit += process.poll() is None
            process.kill()
            process.wait(20)
            check_whole(here)
            if values(here) == {str(here.lake.number - 1)}:
                assert served(here.database) == before
            finish(settings)
            assert values(here) == {str(here.lake.number)}
            assert {one.state for one in generations.generations(here.database)} == {"ready"}


def publish(here: Place) -> None:
    here.lake.next()
    if here.lake.number == 1:
        for person in range(PERSONS):
            here.lake.person(person)
            if person < 20:
                here.lake.holds(person, "phone", phone(person))
    here.lake.publish({person: {"dormant": str(here.lake.number)} for person in range(PERSONS)})


def values(here: Place) -> set[str]:
    return {tags[0][1] for *_, tags in served(here.database)["profiles"]}


def check_whole(here: Place) -> None:
    assert len(served(here.database)["profiles"]) == PERSONS
    assert len(values(here)) == 1


def start(settings: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "services", "profiles", "load", "--workspace", WORKSPACE, "--memory-mb", "256"]
    output = subprocess.DEVNULL
    return subprocess.Popen([*command, "--settings", str(settings)], cwd=paths.REPO, stdout=output, stderr=output)


def finish(settings: Path) -> None:
    assert start(settings).wait(120) == 0
