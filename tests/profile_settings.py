"""A settings file for the profile API's own programs."""

from __future__ import annotations

from pathlib import Path

from tests.profile_lake import WORKSPACE

_SETTINGS = """
[storage]
root = "{lake}"
[kafka]
bootstrap_servers = "127.0.0.1:9"
[ledger]
url = "sqlite:///{folder}/ledger.sqlite"
[trino]
url = "http://127.0.0.1:9"
[keys]
root_key_file = "{key_file}"
[spark]
master = "local[1]"
driver_memory_mb = 512
local_dir = "{folder}/scratch"
jars = []
[profiles]
url = "{url}"
address = "127.0.0.1:{port}"
refusal_tag = ""
[workspace.{workspace}]
zone = "Asia/Shanghai"
history_complete_since = 2017-01-01
"""


def write_settings(folder: Path, key_file: Path, *, url: str = "", port: int = 9) -> Path:
    """The file, for a store (default: SQLite in the folder) and a lake in the folder."""
    path = folder / "settings.toml"
    filled = _SETTINGS.format(
        lake=folder / "lake",
        folder=folder,
        key_file=key_file,
        url=url or f"sqlite:///{folder / 'profiles.sqlite'}",
        port=port,
        workspace=WORKSPACE,
    )
    path.write_text(filled, encoding="utf-8")
    return path
