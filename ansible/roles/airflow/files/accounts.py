"""Makes Airflow's accounts and sets their passwords; run inside Airflow's environment, told by standard input."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def main(wanted: Sequence[Sequence[str]], mark: str, note: str) -> None:
    """`wanted` lists name, role and password; `mark` is noted in the file `note` once all are set."""
    from airflow.providers.fab.auth_manager.cli_commands.utils import (  # noqa: PLC0415 - Airflow is heavy
        get_application_builder,
    )
    from airflow.utils.providers_configuration_loader import providers_configuration_loaded  # noqa: PLC0415

    @providers_configuration_loaded
    def set_all() -> None:
        with get_application_builder() as builder:
            manager = builder.sm
            for name, role_name, password in wanted:
                role = manager.find_role(role_name)
                if role is None:
                    raise SystemExit(f"Airflow has no role {role_name}")
                user = manager.find_user(username=name)
                if user is None:
                    made = manager.add_user(name, name, "Databank", f"{name}@databank.invalid", role, password)
                    if not made:
                        raise SystemExit(f"the account {name} could not be made")
                else:
                    manager.reset_password(user.id, password)

    set_all()
    Path(note).write_text(mark, encoding="utf-8")
