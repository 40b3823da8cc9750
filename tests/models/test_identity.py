"""Model ids: the weights' digest is the same wherever the files lie."""

import hashlib
from pathlib import Path

import pytest

from matir_nb.models.identity import file_digest, folder_id, weight_files, weights_digest
from matir_nb.models.registry import WEIGHTS


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def hub_cache(folder: Path, files: dict[str, bytes]) -> Path:
    """Return a snapshot as the hub's library lays it out: links to blobs named by their SHA-256."""
    blobs, snapshot = folder / "blobs", folder / "snapshots" / ("a" * 40)
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for name, content in files.items():
        (blobs / sha256(content)).write_bytes(content)
        (snapshot / name).symlink_to(blobs / sha256(content))
    return snapshot


def plain(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


ONE = {"model.safetensors": b"one"}
TWO = {f"model-0000{i}-of-00002.safetensors": f"part {i}".encode() for i in (1, 2)}
TORCH = {"pytorch_model.bin": b"torch"}


@pytest.mark.parametrize("files", [ONE, TWO, TORCH])
def test_a_file_has_one_digest_in_the_hubs_cache_and_in_a_folder(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    ours = folder_id(plain(tmp_path / "a", files), {}, name="m")
    assert folder_id(hub_cache(tmp_path / "b", files), {}, name="m") == ours
    changed = {name: content + b"!" for name, content in files.items()}
    assert folder_id(plain(tmp_path / "c", changed), {}, name="m") != ours


def test_one_file_has_its_own_sha256_and_several_have_that_of_theirs(tmp_path: Path) -> None:
    one = plain(tmp_path / "one", ONE)
    assert folder_id(one, {"b": 1, "a": 2}) == f'one@{sha256(b"one")[:12]} {{"a": 2, "b": 1}}'
    joined = sha256(b"part 1") + sha256(b"part 2")
    two = plain(tmp_path / "two", TWO)
    assert weights_digest(weight_files(two)) == sha256(joined.encode())[:12]


def test_the_embedded_models_keep_their_names() -> None:
    """Stored indexes refer to them."""
    assert folder_id(WEIGHTS / "alpha-clip", 0) == "alpha-clip@8c45a242e051 0"


def test_a_blob_of_the_hub_is_not_read(tmp_path: Path) -> None:
    snapshot = hub_cache(tmp_path, ONE)
    for blob in (tmp_path / "blobs").iterdir():
        blob.write_bytes(b"other bytes")
    assert file_digest(snapshot / "model.safetensors") == sha256(b"one")


def test_a_name_that_only_looks_like_a_digest_is_not_believed(tmp_path: Path) -> None:
    file = tmp_path / ("0" * 64)
    file.write_bytes(b"one")
    assert file_digest(file) == sha256(b"one")
    (tmp_path / "blobs").mkdir()
    small = tmp_path / "blobs" / ("0" * 40)
    small.write_bytes(b"one")
    assert file_digest(small) == sha256(b"one")


def test_safetensors_are_loaded_before_pytorchs_own(tmp_path: Path) -> None:
    folder = plain(tmp_path / "m", ONE | TORCH | {"optimizer.bin": b"", "tokenizer.json": b""})
    assert [file.name for file in weight_files(folder)] == ["model.safetensors"]
    (folder / "model.safetensors").unlink()
    assert [file.name for file in weight_files(folder)] == ["pytorch_model.bin"]
    (folder / "pytorch_model.bin").unlink()
    assert weight_files(folder) == []
