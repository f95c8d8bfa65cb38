"""The kernel that takes clear identifiers and raw lines out of the rows, without Spark."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from migration.mapping import Identifier
from migration.protect import ClearColumn, protect_batches
from spark_jobs.protection.keys import load_root_keys
from spark_jobs.protection.sealing import unseal
from spark_jobs.protection.tokens import Tokeniser

MEMBER = ClearColumn(0, Identifier("member_no", "member_no", "grocery"), is_required=True)
PHONE = ClearColumn(1, Identifier("phone", "phone", ""), is_required=False)
LEFT_OUT = ClearColumn(1, Identifier("phone", "phone", "", may_be_left_out=True), is_required=False)


SCHEMA = pa.schema(
    [
        *(("kept", pa.int64()), ("clear_0", pa.string()), ("clear_1", pa.string())),
        *(("raw", pa.binary()), ("reason", pa.string())),
    ]
)


def run(key_file, columns, *, member="M1", phone="+8613912345678", reason=None) -> dict[str, Any]:
    values = {"kept": 1, "clear_0": member, "clear_1": phone, "raw": b"the raw line", "reason": reason}
    batch = pa.RecordBatch.from_pylist([values], SCHEMA)
    (result,) = protect_batches(iter([batch]), columns, ["kept"], key_file=key_file)
    row: dict[str, Any] = result.to_pylist()[0]
    return row


def test_a_good_row_keeps_tokens_and_nothing_else(key_file) -> None:
    tokeniser = Tokeniser(load_root_keys(key_file))
    assert run(key_file, [MEMBER, PHONE]) == {
        "kept": 1,
        "token_0": tokeniser.token("member_no", "grocery", "M1"),
        "token_1": tokeniser.token("phone", "", "+8613912345678"),
        "reason": None,
        "left_out": 0,
        "sealed": None,
        "kid": "k1",
    }


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        pytest.param({"member": None}, "member_no: missing", id="a required identifier is missing"),
        pytest.param({"phone": "13800138000"}, "phone: a constant that means nobody", id="a constant"),
        pytest.param({"phone": "12-3"}, "phone: not a valid value of its type", id="not valid"),
        pytest.param({"reason": "open quote", "member": None}, "open quote", id="the first reason stands"),
        pytest.param({"member": None, "phone": "12-3"}, "member_no: missing", id="in the order of the rules"),
    ],
)
def test_a_refused_row_has_its_reason_and_its_sealed_bytes(key_file, values, reason) -> None:
    row = run(key_file, [MEMBER, PHONE], **values)
    assert row["reason"] == reason
    assert unseal(row["sealed"], load_root_keys(key_file), kid=row["kid"]) == b"the raw line"
    assert b"raw line" not in row["sealed"]


def test_an_optional_identifier_may_be_empty(key_file) -> None:
    row = run(key_file, [MEMBER, PHONE], phone=None)
    assert (row["reason"], row["token_1"], row["left_out"]) == (None, None, 0)


def test_what_may_be_left_out_is_counted_and_refuses_nothing(key_file) -> None:
    row = run(key_file, [MEMBER, LEFT_OUT], phone="13800138000")
    assert (row["reason"], row["token_1"], row["left_out"], row["sealed"]) == (None, None, 1, None)


def test_an_empty_batch_passes(key_file) -> None:
    batch = pa.RecordBatch.from_pylist([], SCHEMA)
    (result,) = protect_batches(iter([batch]), [MEMBER], ["kept"], key_file=key_file)
    assert result.num_rows == 0
