"""Which release a cluster has, which it had before, and whether the way back is still open."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from services.cluster.state import State, write_private
from spark_jobs.errors import TerminalError


@dataclass(frozen=True, slots=True)
class History:
    """`version` runs; `previous` ran before it; `target` is where an upgrade or rollback that broke off was going."""

    version: str
    previous: str | None = None
    target: str | None = None
    is_finalised: bool = True

    def refuse_install(self, bundle: str) -> None:
        """An installation changes settings, not releases."""
        if bundle not in {self.version, self.target}:
            raise TerminalError(
                f"the cluster has release {self.version}, the bundle holds {bundle}; `cluster upgrade` goes there, or "
                f"take the bundle of {self.version}"
            )
        if self.target and bundle != self.target:
            raise TerminalError(
                f"a change to {self.target} broke off; finish it with that bundle, or go back with `cluster rollback`"
            )

    def going_up(self, bundle: str, upgrades_from: list[str]) -> History:
        """The history while an upgrade to `bundle` runs."""
        if self.target == bundle:
            return self
        if bundle == self.version:
            raise TerminalError(f"the cluster has release {bundle} already")
        if self.version not in upgrades_from:
            raise TerminalError(
                f"release {bundle} may follow {', '.join(upgrades_from) or 'no release'}, and the cluster has "
                f"{self.version}; upgrade to one of these first"
            )
        if not self.is_finalised:
            raise TerminalError(
                f"{self.version} keeps its way back to {self.previous} open; close it with `cluster finalise` first"
            )
        return History(self.version, self.version, bundle, is_finalised=False)

    def going_back(self, bundle: str) -> History:
        """The history while a rollback to `bundle` runs."""
        if self.is_finalised or self.previous is None:
            raise TerminalError(
                f"{self.version} is final: its formats are in use and older programs cannot read them; "
                "`cluster restore` with a backup of before is the way back"
            )
        if bundle != self.previous:
            raise TerminalError(f"the way back leads to {self.previous}, and this bundle holds {bundle}")
        return History(self.version, self.previous, bundle, is_finalised=False)

    def arrived(self, bundle: str) -> History:
        """The history after a change to `bundle` succeeded; a rollback leaves nothing to go back to."""
        if self.target is None:
            return self
        is_back = bundle == self.previous
        return History(bundle, None if is_back else self.previous, None, is_finalised=is_back)

    def finalised(self, bundle: str) -> History:
        """The history once the formats of this release are in use."""
        if bundle != self.version or self.target:
            raise TerminalError(f"the cluster has {self.version}, the bundle holds {bundle}; take the cluster's own")
        return History(self.version)


def read(known: State) -> History | None:
    """What the control node remembers; None before the first installation."""
    path = _file(known)
    if not path.exists():
        return None
    try:
        return History(**json.loads(path.read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise TerminalError(f"{path} cannot be read ({error}); bring it back from a backup") from error


def of_cluster(known: State) -> History:
    """The same where there must be one."""
    if found := read(known):
        return found
    raise TerminalError(f"{_file(known)} is missing: nothing is known to be installed; `cluster install` comes first")


def write(known: State, history: History) -> None:
    """Remember it."""
    write_private(_file(known), json.dumps(asdict(history), indent=2) + "\n")


def forget(known: State) -> None:
    """Remember nothing, as before the first installation."""
    _file(known).unlink(missing_ok=True)


def upgrades_from(bundle: Path, version: str) -> list[str]:
    """The releases that may be followed by the bundle's."""
    text = (bundle / "ansible" / "releases" / f"{version}.yml").read_text(encoding="utf-8")
    given: Mapping[str, Any] = yaml.safe_load(text)
    return [str(one) for one in given.get("upgrades_from", [])]


def _file(known: State) -> Path:
    return known.folder / "history.json"
