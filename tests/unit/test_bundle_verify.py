"""A bundle that is not what was signed is refused, whatever was done to it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from services.bundle import build, layout, payloads, signing
from services.bundle.verify import verify
from services.setup import paths, release
from spark_jobs.errors import TerminalError

SOURCE = build.Source("0123456789abcdef", 1_790_000_000)
PAYLOAD = f"{layout.PAYLOADS}/kafka-1.tar"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("key") / "builder"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


@pytest.fixture
def tree(tmp_path: Path, key: Path) -> Path:
    folder = tmp_path / "databank-1"
    for name, content in {"databank": b"#!/bin/sh\n", PAYLOAD: bytes(range(256)) * 400}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    signed(folder, key)
    return folder


def signed(folder: Path, key: Path) -> None:
    (folder / layout.SIGNERS).write_text(signing.allowed_signers(key))
    build._write_manifest(folder, release.load(paths.release_file()), SOURCE)
    signing.sign(folder / layout.MANIFEST, key)


def packed(tree: Path) -> Path:
    return build._pack(tree, tree.with_suffix(".tar"), SOURCE)


def test_a_whole_bundle_says_what_it_is_packed_and_unpacked(tree: Path, key: Path) -> None:
    bundle = packed(tree)
    found = verify(bundle)
    assert (found.commit, found.files, found.built_at) == (SOURCE.commit, 2, "2026-09-21T14:13:20Z")
    assert found.fingerprint in subprocess.check_output(["ssh-keygen", "-lf", str(key)], text=True)
    assert verify(bundle, signers=signing.allowed_signers(key)) == verify(tree) == found


def test_a_bare_python_verifies(tree: Path) -> None:
    bare = [sys.executable, "-I", "-S", "-c", "import sys; sys.path.insert(0, sys.argv.pop(1)); from services.setup"]
    bare[-1] += ".__main__ import main; sys.exit(main(sys.argv[1:]))"
    command = [*bare, str(paths.REPO), "bundle", "verify", str(packed(tree))]
    answer = subprocess.run(command, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "2 files" in answer.stdout
    assert "compare the fingerprint" in answer.stdout


def test_the_same_contents_make_the_same_bytes(tree: Path) -> None:
    first = packed(tree).read_bytes()
    for path in tree.rglob("*"):
        path.touch()
    assert packed(tree).read_bytes() == first


@pytest.mark.parametrize("where", [*sorted(layout.UNLISTED), PAYLOAD, "databank"])
def test_one_flipped_bit_anywhere_is_found(tree: Path, where: str) -> None:
    bundle = packed(tree)
    with tarfile.open(bundle) as tar:
        member = tar.getmember(f"{tree.name}/{where}")
    for offset in (member.offset_data + member.size // 2, member.offset + 3):  # contents; the name in the header
        content = bytearray(bundle.read_bytes())
        content[offset] ^= 4
        damaged = bundle.with_name("damaged.tar")
        damaged.write_bytes(content)
        with pytest.raises(TerminalError, match="bundle"):
            verify(damaged)


def cut_short(bundle: Path) -> None:
    bundle.write_bytes(bundle.read_bytes()[: bundle.stat().st_size // 2])


def made_empty(bundle: Path) -> None:
    bundle.write_bytes(b"")


def given_a_link(bundle: Path) -> None:
    with tarfile.open(bundle, "a") as tar:
        link = tarfile.TarInfo("databank-1/etc")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        tar.addfile(link)


def given_a_way_out(bundle: Path) -> None:
    with tarfile.open(bundle, "a") as tar:
        tar.addfile(tarfile.TarInfo("databank-1/../../etc/passwd"), io.BytesIO())


def given_a_stranger(bundle: Path) -> None:
    with tarfile.open(bundle, "a") as tar:
        tar.addfile(tarfile.TarInfo("databank-1/sitecustomize.py"), io.BytesIO())


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        pytest.param(cut_short, "is damaged|is missing", id="cut short"),
        pytest.param(made_empty, "is damaged", id="empty"),
        pytest.param(given_a_link, "etc is neither a plain file nor a folder", id="a link"),
        pytest.param(given_a_way_out, "neither a plain file", id="a name that leads out"),
        pytest.param(given_a_stranger, "sitecustomize.py is not listed", id="a file that nobody signed"),
    ],
)
def test_a_harmed_tar_is_refused(tree: Path, harm: Callable[[Path], None], said: str) -> None:
    bundle = packed(tree)
    harm(bundle)
    with pytest.raises(TerminalError, match=said):
        verify(bundle)


def test_a_folder_that_lost_a_file_or_won_one_is_refused(tree: Path) -> None:
    (tree / "sitecustomize.py").write_text("")
    (tree / PAYLOAD).unlink()
    with pytest.raises(TerminalError, match=r"sitecustomize\.py is not listed; .*kafka-1\.tar is missing"):
        verify(tree)


def test_what_using_the_bundle_leaves_in_its_folder_does_not_matter(tree: Path) -> None:
    (tree / ".databank").mkdir()
    (tree / ".databank" / "setup.json").write_text("{}")
    assert verify(tree).files == 2


def test_a_bundle_of_another_signer_is_refused(tree: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)
    with pytest.raises(TerminalError, match=r"signature is not valid.*ask who built it"):
        verify(packed(tree), signers=signing.allowed_signers(other))


def test_what_is_no_bundle_is_told(tmp_path: Path, tree: Path) -> None:
    with pytest.raises(TerminalError, match=r"nowhere\.tar cannot be read: No such file"):
        verify(tmp_path / "nowhere.tar")
    (tree / layout.SIGNATURE).unlink()
    with pytest.raises(TerminalError, match=r"lacks bundle/manifest.json.sig|comes before the signed manifest"):
        verify(tree)


def test_a_key_that_cannot_be_used_is_told_before_anything_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match=r"the signing key .* cannot be read: .*No such file"):
        build.build(tmp_path / "none", tmp_path)


def test_files_that_are_one_stay_one_in_a_payload(tmp_path: Path) -> None:
    one, other, target = tmp_path / "one.jar", tmp_path / "other.jar", tmp_path / "x.tar"
    one.write_bytes(bytes(100_000))
    other.hardlink_to(one)
    payloads.write(payloads.Payload("x", "1", {"a/one.jar": one, "b/other.jar": other}), target, epoch=SOURCE.epoch)
    assert target.stat().st_size < 2 * 100_000
    with tarfile.open(target) as tar:
        tar.extractall(tmp_path / "out", filter="data")
    assert (tmp_path / "out" / "b" / "other.jar").read_bytes() == one.read_bytes()


def test_a_payload_keeps_who_may_run_what(tmp_path: Path) -> None:
    program, text = tmp_path / "run", tmp_path / "text"
    for path, mode in ((program, 0o755), (text, 0o600)):
        path.write_text("x")
        path.chmod(mode)
    target = tmp_path / "one.tar"
    payloads.write(payloads.Payload("one", "1", {"bin/run": program, "text": text}), target, epoch=SOURCE.epoch)
    with tarfile.open(target) as tar:
        assert {member.name: member.mode for member in tar} == {"bin/run": 0o755, "text": 0o644}
