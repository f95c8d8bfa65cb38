"""Identifiers, tokens and sealing: what is the same, what is nobody, and that nothing clear remains."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pyarrow as pa
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from spark_jobs.contracts.identifiers import IDENTIFIER_TYPES, normalise, refusal
from spark_jobs.errors import TerminalError
from spark_jobs.protection.keys import create_root_key_file, load_root_keys
from spark_jobs.protection.sealing import seal, seal_batches, unseal, unseal_batches
from spark_jobs.protection.tokens import TokenColumn, Tokeniser, replace_columns


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("phone", "13912345678", "+86 139-1234-5678"),
        ("phone", "１３９１２３４５６７８", "008613912345678"),  # noqa: RUF001 - full-width digits are the case
        ("phone", "8613912345678", "+8613912345678"),
        ("login", "Wei.Li@Example.com ", "wei.li@example.com"),
        ("device", "ABCD-1234", "abcd-1234"),
        ("member_no", " 0042 ", "0042"),
    ],
)
def test_the_same_identifier_in_two_spellings(kind: str, one: str, other: str) -> None:
    assert normalise(kind, one) == normalise(kind, other)


def test_case_counts_where_it_must() -> None:
    assert normalise("openid", "oAbC") != normalise("openid", "oabc")


@pytest.mark.parametrize(
    "value",
    [
        *("null", "NONE", "0", "-1", "undefined", "NaN", "[object Object]", "anonymous", "Guest", " "),
        *("00000000-0000-0000-0000-000000000000", "02:00:00:00:00:00", "9774d56d682e549c", "1111111", "x" * 1025),
    ],
)
def test_constants_that_are_nobody(value: str) -> None:
    assert all(refusal(kind, value) for kind in IDENTIFIER_TYPES if kind != "member_no" or value != "1111111")


@pytest.mark.parametrize("value", ["13800138000", "+8613800138000", "12", "phone", "+0123456789", "1" * 16])
def test_phones_that_are_none(value: str) -> None:
    assert refusal("phone", value)


def test_an_undeclared_type_is_refused_and_the_reason_never_repeats_the_value() -> None:
    assert refusal("badge", "secret-77") == "undeclared identifier type"
    assert "13800138000" not in str(refusal("phone", "13800138000"))


def test_a_token_is_what_the_design_says(key_file: Path) -> None:
    keys = load_root_keys(key_file)
    derived = HKDF(SHA256(), 32, None, b"databank/token/phone").derive(keys.by_kid["k1"])
    wanted = hmac.new(derived, b"cn\x00+8613912345678", hashlib.sha256).digest()[:16]
    assert Tokeniser(keys).token("phone", "cn", "139 1234 5678") == wanted


def test_scope_and_type_keep_equal_texts_apart(key_file: Path) -> None:
    tokens = Tokeniser(load_root_keys(key_file))
    places = [("openid", "app1"), ("openid", "app2"), ("cookie", "app1")]
    assert len({tokens.token(kind, scope, "oX1") for kind, scope in places}) == len(places)


def test_batches_lose_the_clear_column_and_say_why_a_value_was_refused(key_file: Path) -> None:
    batch = pa.record_batch({"line": [1, 2, 3, 4], "phone": ["13912345678", "null", None, "13912345678"]})
    column = TokenColumn("phone", "phone_token", "phone", "", "phone_reason")
    tokeniser = Tokeniser(load_root_keys(key_file))
    result = replace_columns(batch, [column], ["line"], tokeniser=tokeniser).to_pydict()
    token = tokeniser.token("phone", "", "13912345678")
    assert result["phone_token"] == [token, None, None, token]
    assert result["phone_reason"] == [None, "a constant that means nobody", None, None]
    assert set(result) == {"line", "phone_token", "phone_reason"}


def test_sealed_batches_open_again_by_the_key_that_each_row_names(key_file: Path) -> None:
    lines = [b"one", b"", "三".encode()]
    batch = pa.RecordBatch.from_pydict({"line": [2, 3, 4], "raw": lines})
    sealed = list(seal_batches([batch], "raw", key_file=key_file))
    assert not set(sealed[0].column("raw").to_pylist()) & set(lines)
    (opened,) = unseal_batches(sealed, "raw", key_file=key_file)
    assert opened.to_pydict() == batch.to_pydict()


def test_a_key_that_is_gone_is_named_with_what_to_do(key_file: Path) -> None:
    batch = pa.RecordBatch.from_pydict({"raw": [b"x" * 40], "kid": ["k0"]})
    with pytest.raises(TerminalError, match="has no key k0; restore it"):
        list(unseal_batches([batch], "raw", key_file=key_file))


def test_sealed_bytes_open_only_unchanged(key_file: Path) -> None:
    keys = load_root_keys(key_file)
    sealed = seal(b"13912345678,broken", keys)
    assert b"13912345678" not in sealed
    assert unseal(sealed, keys, kid="k1") == b"13912345678,broken"
    with pytest.raises(InvalidTag):
        unseal(sealed[:-1] + bytes([sealed[-1] ^ 1]), keys, kid="k1")


def test_a_key_file_open_to_others_is_refused(key_file: Path) -> None:
    key_file.chmod(0o640)
    with pytest.raises(TerminalError, match="mode 0640, wanted 0600"):
        load_root_keys(key_file)


def test_a_broken_key_file_is_refused_without_quoting_it(tmp_path: Path) -> None:
    path = tmp_path / "root.json"
    path.touch(mode=0o600)
    path.write_text('{"format": 1, "active": "k1", "keys": {"k1": "c2VjcmV0"}}')
    with pytest.raises(TerminalError) as error:
        load_root_keys(path)
    assert "c2VjcmV0" not in str(error.value)


def test_a_key_file_is_never_overwritten(key_file: Path) -> None:
    with pytest.raises(FileExistsError):
        create_root_key_file(key_file)


def test_keys_do_not_show_when_printed(key_file: Path) -> None:
    keys = load_root_keys(key_file)
    assert repr(keys.by_kid["k1"]) not in repr(keys)
