"""What the role `profiles` and the roles around it say of one another, and of the programs that they start."""

from __future__ import annotations

import re
import shlex
import tomllib
from datetime import date
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import jinja2
import yaml

from services.profiles import __main__ as profiles
from services.profiles import schema
from services.profiles.database import open_database
from spark_jobs import settings
from tests.ansible.loading import ANSIBLE

ROLE = ANSIBLE / "roles" / "profiles"
GROUP_VARS = ANSIBLE / "playbooks" / "group_vars" / "all"


def variables(path: Path) -> Any:  # noqa: ANN401 - YAML
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_a_dump_of_the_store_keeps_what_stands_nowhere_else(tmp_path: Path) -> None:
    given = variables(ANSIBLE / "roles/postgresql/vars/main.yml")["postgresql__left_out"]["profiles"]
    words = [shlex.split(one)[0].split("=", 1) for one in given]
    tables = [pattern for option, pattern in words if option == "--exclude-table"]
    rows = [pattern for option, pattern in words if option == "--exclude-table-data"]
    assert len(tables) + len(rows) == len(words)
    database = open_database(f"sqlite:///{tmp_path / 'store'}")
    schema.upgrade(database)
    lasting = {str(name) for (name,) in database.rows("SELECT name FROM sqlite_master WHERE type = 'table'")}
    lasting = {name for name in lasting if not name.startswith("sqlite_")}
    made = {name for kind in (schema.IDENTITY, schema.TAGS) for name in schema.tables_of(kind, 17, database)}
    made.add("stage_17")
    database.close()
    assert {name for name in made if not any(fnmatch(name, one) for one in tables)} == set()
    assert {name for name in lasting if any(fnmatch(name, one) for one in tables)} == set()
    assert lasting - set(rows) == {"api_keys", "refusals", "store_versions"}
    assert set(rows) <= lasting


def test_the_units_give_the_programs_options_that_they_have() -> None:
    text = (ROLE / "tasks" / "configure.yml").read_text(encoding="utf-8")
    commands = [" ".join(one.split()) for one in re.findall(r"-m services profiles ((?:.+\n)+?)(?=\n|\Z)", text)]
    assert [one.split()[0] for one in commands] == ["serve", "follow"]
    for command in commands:
        words = re.sub(r"{{[^}]*}}", "1", command).split()
        assert profiles._parser().parse_args(words).verb == words[0]


def test_the_settings_are_such_as_the_programs_read(tmp_path: Path) -> None:
    given = {
        "databank_lake": "hdfs://h1:8020/databank/lake",
        "databank_data": "/var/lib/databank",
        "profiles__settings": "/etc/databank/profiles",
        "profiles__store": "postgresql+psycopg://profiles@h2:5432/profiles?sslmode=verify-full",
        "profiles__port": 8360,
        "profiles_refusal_tag": "",
        "platform_workspaces": [{"name": "grocery", "zone": "Europe/Berlin", "history_complete_since": "2017-01-01"}],
    }
    environment = jinja2.Environment(trim_blocks=True, undefined=jinja2.StrictUndefined, autoescape=False)
    text = environment.from_string((ROLE / "templates" / "settings.toml.j2").read_text(encoding="utf-8")).render(given)
    found = settings.parse(tomllib.loads(text), where="the template")
    assert found.profiles is not None
    assert found.profiles.address == "0.0.0.0:8360"
    assert found.profiles.url == given["profiles__store"]
    assert found.workspace("grocery").history_complete_since == date(2017, 1, 1)
    assert found.storage_root == given["databank_lake"]


def test_hdfs_knows_the_account_and_lets_it_read() -> None:
    name = variables(ROLE / "vars" / "main.yml")["profiles__environment"]["HADOOP_USER_NAME"]
    mapped = (ANSIBLE / "roles/hdfs/templates/core-site.xml.j2").read_text(encoding="utf-8")
    assert f";{name}=databank;" in mapped


def test_each_unit_of_the_role_is_known_to_status_and_measured() -> None:
    named = set(re.findall(r"component_unit: (\S+)", (ROLE / "tasks" / "configure.yml").read_text(encoding="utf-8")))
    assert named == set(variables(GROUP_VARS / "layout.yml")["databank_units"]["profiles"])


def test_every_database_has_a_password_that_rotation_makes_anew() -> None:
    made = variables(ANSIBLE / "secrets.yml")
    names = variables(ANSIBLE / "roles/postgresql/defaults/main.yml")["postgresql_databases"]
    assert "profiles" in names
    assert {made[f"postgresql_{name}_password"] for name in names} == {"password"}
