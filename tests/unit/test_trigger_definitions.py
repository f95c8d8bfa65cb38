"""Definitions of triggers: what is refused and named, what the shipped ones are, and that editors are told the same."""

from __future__ import annotations

import json
from datetime import time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from spark_jobs.documents import text_of
from spark_jobs.errors import TerminalError
from spark_jobs.triggers.definitions import Cap, Control, Quiet
from spark_jobs.triggers.reading import FILE_KEYS, SHIPPED, triggers_of
from spark_jobs.triggers.schema_files import FOLDER, SCHEMAS, TRIGGER_NOTES, trigger_schema
from tests.trigger_rows import CART, ORDER, write_triggers

SCHEMA = Draft202012Validator(trigger_schema())


def test_a_definition_is_read_whole(tmp_path: Path) -> None:
    (cart,) = triggers_of(write_triggers(tmp_path, CART), "grocery")
    assert (cart.name, cart.waits, cart.expires) == ("cart_24h", "24h", timedelta(days=4))
    assert (cart.events, cart.cart_id, cart.cancelled_by) == (("add_to_cart",), "cart_id", ("clear_cart",))
    assert (cart.cap, cart.quiet) == (Cap(2, 7), Quiet(time(21), time(9)))
    assert (cart.control, cart.webhook) == (Control(Decimal("0.1"), "s"), False)
    (order,) = triggers_of(write_triggers(tmp_path / "orders", ORDER), "grocery")
    assert (order.source, order.waits, order.quiet) == ("orders_unpaid", "2h", None)


def test_whatever_changes_a_trigger_changes_its_hash(tmp_path: Path) -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"after": "25 hours"},
        {"cap": {"most": 3, "days": 7}},
        {"quiet": None},
        {"control": {"share": 0.1, "salt": "other"}},
    ]
    found = [
        triggers_of(write_triggers(tmp_path / str(n), {**CART, **changed}), "grocery")[0].digest
        for n, changed in enumerate(changes)
    ]
    assert len(set(found)) == len(changes)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"owner": None}, "missing key 'owner'"),
        ({"wait": "1 day"}, "unknown key 'wait'"),
        ({"trigger": "other"}, "wanted 'cart_24h', the name of the file"),
        ({"class": "minors"}, "sensitive class"),
        ({"class": None}, "missing key 'class'"),
        ({"source": "baskets"}, "those that exist: carts, orders_unpaid"),
        ({"events": []}, "wanted a list of 1 to 20 names"),
        ({"events": ["a", "a"]}, "stands twice"),
        ({"after": "90 minutes"}, "wanted a time such as 24 hours"),
        ({"expires": "24 hours"}, "wanted more than `after`"),
        ({"expires": "31 days"}, "at most 30 days"),
        ({"cap": {"most": 0, "days": 7}}, "cap.most: found 0 (int), wanted a whole number from 1 to 100"),
        ({"quiet": {"since": 1260, "until": "09:00"}}, "wanted a quoted time"),
        ({"quiet": {"since": "09:00", "until": "09:00"}}, "the same"),
        ({"control": {"share": 1.5, "salt": "s"}}, "wanted a share from 0 to 1"),
        ({"control": {"share": 0.5}}, "missing key 'salt'"),
        ({"topic": "databank.events"}, "unknown topic"),
        ({"source": "orders_unpaid"}, "only a trigger of carts has events"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_done(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(TerminalError, match="nothing was done") as error:
        triggers_of(write_triggers(tmp_path, {**CART, **changed}, name="cart_24h"), "grocery")
    assert said in str(error.value)


def test_all_problems_of_all_files_stand_in_one_message(tmp_path: Path) -> None:
    folder = write_triggers(tmp_path, {**CART, "owner": "Ms X"}, {**ORDER, "after": "soon", "cancelled_by": ["lost"]})
    with pytest.raises(TerminalError, match="3 problems"):
        triggers_of(folder, "grocery")
    with pytest.raises(TerminalError, match=r"found no \*.yaml"):
        triggers_of(None, "nowhere")


def test_the_shipped_triggers_are_sound_and_editors_know_them() -> None:
    assert [one.name for one in triggers_of(None, "grocery")] == ["cart_24h", "cart_48h", "order_unpaid_1h"]
    for path in SHIPPED.glob("*/*.yaml"):
        text = path.read_text(encoding="utf-8")
        assert list(SCHEMA.iter_errors(yaml.safe_load(text))) == [], path
        schema = path.parent / text.splitlines()[0].removeprefix("# yaml-language-server: $schema=")
        assert schema.resolve() == FOLDER / "trigger.json"


def test_the_schema_file_is_todays_and_describes_every_key() -> None:
    assert set(TRIGGER_NOTES) == set(FILE_KEYS)
    for name, make in SCHEMAS.items():
        Draft202012Validator.check_schema(make())
        assert (FOLDER / name).read_text(encoding="utf-8") == text_of(make()), (
            "run: python -m spark_jobs.triggers.schema_files"
        )


@pytest.mark.parametrize(
    "changed",
    [{"events": None}, {"class": "minors"}, {"quiet": {"since": 1260, "until": "09:00"}}, {"source": "orders_unpaid"}],
)
def test_editors_refuse_it_as_well(changed: dict[str, Any]) -> None:
    given = {key: value for key, value in {**CART, **changed}.items() if value is not None}
    assert list(SCHEMA.iter_errors(json.loads(json.dumps(given))))
