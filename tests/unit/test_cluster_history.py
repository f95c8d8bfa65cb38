"""Which releases may follow which, when the way back is open, and backups that are whole or none."""

from __future__ import annotations

import argparse
import json
import tarfile
from pathlib import Path

import pytest

from services.bundle.verify import Verified
from services.cluster import backups, history
from services.cluster.history import History
from services.cluster.state import State
from services.cluster.verbs import VERBS
from spark_jobs.errors import TerminalError

OLD, NEW = "0.1.0", "0.2.0"


def test_up_and_back_and_up_again_and_then_no_way_back() -> None:
    up = History(OLD).going_up(NEW, [OLD])
    assert up == History(OLD, OLD, NEW, is_finalised=False)
    assert up.going_up(NEW, [OLD]) == up  # one that broke off is taken up again
    there = up.arrived(NEW)
    assert there == History(NEW, OLD, None, is_finalised=False)
    back = there.going_back(OLD).arrived(OLD)
    assert back == History(OLD)
    final = back.going_up(NEW, [OLD]).arrived(NEW).finalised(NEW)
    assert final == History(NEW)
    with pytest.raises(TerminalError, match="is final"):
        final.going_back(OLD)


def test_a_way_up_that_broke_off_leads_on_or_back_and_nowhere_else() -> None:
    broken = History(OLD).going_up(NEW, [OLD])
    assert broken.going_back(OLD).arrived(OLD) == History(OLD)
    with pytest.raises(TerminalError, match="broke off"):
        broken.refuse_install(OLD)
    with pytest.raises(TerminalError, match="take the cluster's own"):
        broken.finalised(NEW)
    broken.refuse_install(NEW)


@pytest.mark.parametrize(
    ("now", "bundle", "said"),
    [
        (History(OLD), OLD, "has release 0.1.0 already"),
        (History("0.0.9"), NEW, "may follow 0.1.0, and the cluster has 0.0.9"),
        (History(OLD, "0.0.9", is_finalised=False), NEW, "close it with `cluster finalise`"),
    ],
)
def test_what_may_not_follow_is_refused(now: History, bundle: str, said: str) -> None:
    with pytest.raises(TerminalError, match=said):
        now.going_up(bundle, [OLD])


def test_an_installation_is_of_the_clusters_own_release() -> None:
    with pytest.raises(TerminalError, match="`cluster upgrade` goes there"):
        History(OLD).refuse_install(NEW)


def test_history_is_kept_and_a_broken_file_is_named(tmp_path: Path) -> None:
    known = State(tmp_path)
    assert history.read(known) is None
    with pytest.raises(TerminalError, match="install` comes first"):
        history.of_cluster(known)
    history.write(known, History(NEW, OLD, is_finalised=False))
    assert history.read(known) == History(NEW, OLD, is_finalised=False)
    (tmp_path / "history.json").write_text("{")
    with pytest.raises(TerminalError, match="bring it back from a backup"):
        history.read(known)
    history.forget(known)
    assert history.read(known) is None


def state_of(folder: Path, cluster: str) -> State:
    folder.mkdir()
    (folder / "cluster.json").write_text(json.dumps({"cluster_id": cluster}))
    (folder / "ssh").mkdir()
    (folder / "ssh" / "socket").touch()
    inventory_of(folder).write_text("all:\n")
    (folder.parent / "group_vars").mkdir(exist_ok=True)
    (folder.parent / "group_vars" / "all.yml").write_text("kafka_heap_mb: 512\n")
    return State(folder)


def inventory_of(folder: Path) -> Path:
    return folder.parent / "hosts.yml"


def test_a_backup_brings_the_state_back_without_connections(tmp_path: Path) -> None:
    known = state_of(tmp_path / "state", "a")
    backups.begin(known, tmp_path / "backup", inventory_of(known.folder))
    (tmp_path / "backup" / "postgresql-x.dump").write_text("rows")
    backups.end(tmp_path / "backup")
    (tmp_path / "new").mkdir()
    there = State(tmp_path / "new" / "state")
    backups.bring_back(there, tmp_path / "backup")
    assert sorted(path.name for path in there.folder.iterdir()) == ["cluster.json"]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["state"]
    with tarfile.open(tmp_path / "backup" / "state.tar") as tar:
        assert {"inventory/hosts.yml", "inventory/group_vars/all.yml"} <= set(tar.getnames())
    with pytest.raises(TerminalError, match="of another cluster"):
        backups.bring_back(state_of(tmp_path / "other", "b"), tmp_path / "backup")


def test_a_backup_that_broke_off_or_was_damaged_is_none(tmp_path: Path) -> None:
    known, folder = state_of(tmp_path / "state", "a"), tmp_path / "backup"
    backups.begin(known, folder, inventory_of(known.folder))
    with pytest.raises(TerminalError, match="one that broke off"):
        backups.bring_back(known, folder)
    backups.begin(known, folder, inventory_of(known.folder))  # and may be begun again
    backups.end(folder)
    (folder / "state.tar").write_bytes(b"other")
    with pytest.raises(TerminalError, match=r"state\.tar missing or damaged"):
        backups.bring_back(known, folder)


def test_a_backup_takes_the_place_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    with pytest.raises(TerminalError, match="is not empty"):
        backups.begin(state_of(tmp_path / "state", "a"), tmp_path / "mine", tmp_path / "hosts.yml")


def upgrading(tmp_path: Path) -> tuple[State, argparse.Namespace, Verified]:
    """A cluster of the old release, and what an upgrade to the new one is told."""
    known = state_of(tmp_path / "state", "a")
    history.write(known, History(OLD))
    releases = tmp_path / "bundle" / "ansible" / "releases"
    releases.mkdir(parents=True)
    (releases / f"{NEW}.yml").write_text(f"upgrades_from: [{OLD}]\n")
    args = argparse.Namespace(
        bundle=tmp_path / "bundle", to=tmp_path / "backup", inventory=inventory_of(known.folder), verb="upgrade"
    )
    return known, args, Verified(NEW, "c" * 40, "2026-01-01", 1, 1, "SHA256:x")


def test_an_upgrade_that_broke_off_keeps_its_backup_and_goes_on(tmp_path: Path) -> None:
    known, args, bundle = upgrading(tmp_path)
    assert VERBS["upgrade"].first(known, args, bundle) == ("backup",)
    VERBS["backup"].before(known, args, bundle)
    VERBS["backup"].after(known, args, bundle)
    VERBS["upgrade"].before(known, args, bundle)
    assert backups.is_whole(args.to)  # whatever comes of the upgrade
    assert VERBS["upgrade"].first(known, args, bundle) == ()
    args.to = tmp_path / "another"
    assert VERBS["upgrade"].first(known, args, bundle) == ("backup",)
    VERBS["upgrade"].after(known, args, bundle)
    assert history.of_cluster(known) == History(NEW, OLD, is_finalised=False)


def test_an_upgrade_that_may_not_be_takes_no_backup(tmp_path: Path) -> None:
    known, args, bundle = upgrading(tmp_path)
    history.write(known, History("0.0.1"))
    with pytest.raises(TerminalError, match="upgrade to one of these first"):
        VERBS["upgrade"].first(known, args, bundle)
    assert not args.to.exists()
