"""The seal of a delivered folder: checksums of its files, as `sha256sum -c SHA256SUMS` takes them, and their check."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path

from moco.errors import RunFolderError
from moco.run_folder.writing import write_text

SEAL = "SHA256SUMS"
SEALED = ("model.onnx", "network.safetensors", "policy.json", "certificate.json")
"""What a certificate is about; card.md is prose, which its reader may go on with."""


def seal(folder: Path) -> None:
    """Write the checksums of all delivered files in a folder and below it, where there are any."""
    files = sorted(path for path in folder.rglob("*") if path.name in SEALED) if folder.is_dir() else []
    if files:
        write_text(folder / SEAL, "".join(f"{_sha256(path)}  {path.relative_to(folder)}\n" for path in files))


def check_seal(folder: Path, names: Collection[str] = SEALED) -> None:
    """Pass a folder whose files of these names are what was delivered, or that has no seal.

    A RunFolderError names the file that has changed, or is gone.
    """
    try:
        lines = (folder / SEAL).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise RunFolderError(f"{folder / SEAL}: cannot be read: {error}") from None
    for line in lines:
        expected, _, name = line.partition("  ")
        path = folder / name
        if path.name not in names:
            continue
        try:
            found = _sha256(path)
        except OSError as error:
            raise RunFolderError(f"{path}: was delivered and cannot be read: {error.strerror or error}") from None
        if found != expected:
            raise RunFolderError(
                f"{path}: is not the file that was delivered, its SHA-256 is not that of {SEAL}: what was certified "
                "is not said of it; put the file back, or search again"
            )


def check_seals(run: Path) -> None:
    """`check_seal` for each sealed folder of a run."""
    for sealed in sorted(run.glob(f"*/{SEAL}")):
        check_seal(sealed.parent)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
