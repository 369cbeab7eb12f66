"""The seal of a delivered folder: checksums of its files, as `sha256sum -c SHA256SUMS` takes them, and their check."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from pathlib import Path

from moco.errors import RunFolderError
from moco.run_folder.network_file import is_network
from moco.run_folder.writing import write_text

SEAL = "SHA256SUMS"
SEALED = ("network.safetensors", "policy.json", "certificate.json")
"""What a certificate is about, beside the network itself; card.md is prose, which its reader may go on with."""

LINE = re.compile(r"(?P<sum>[0-9a-f]{64})  (?P<name>.+)")
PUT_BACK = "put the file back, or search again"


def seal(folder: Path) -> None:
    """Write the checksums of all delivered files in a folder and below it, where there are any."""
    files = sorted(path for path in folder.rglob("*") if _is_sealed(path.name)) if folder.is_dir() else []
    if files:
        write_text(folder / SEAL, "".join(f"{_sha256(path)}  {path.relative_to(folder)}\n" for path in files))


def check_seal(folder: Path, names: Collection[str] | None = None) -> None:
    """Pass a folder whose files of these names, else all, are what was delivered, or that has no seal.

    A RunFolderError names the file that has changed, is gone, or is not named by the seal.
    """
    sums = _sums(folder / SEAL)
    if sums is None:
        return
    present = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    for name in sorted(name for name in present | sums.keys() if _is_sealed(Path(name).name, names)):
        path = folder / name
        if name not in sums:
            raise RunFolderError(f"{path}: {SEAL} does not name it, so nothing is known of it; {PUT_BACK}")
        try:
            found = _sha256(path)
        except OSError as error:
            raise RunFolderError(f"{path}: was delivered and cannot be read: {error.strerror or error}") from None
        if found != sums[name]:
            raise RunFolderError(
                f"{path}: is not the file that was delivered, its SHA-256 is not that of {SEAL}: what was certified "
                f"is not said of it; {PUT_BACK}"
            )


def _is_sealed(name: str, names: Collection[str] | None = None) -> bool:
    return name in names if names is not None else name in SEALED or is_network(name)


def _sums(seal: Path) -> dict[str, str] | None:
    """Checksum by file name; None where there is no seal."""
    try:
        lines = seal.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise RunFolderError(f"{seal}: cannot be read: {error}") from None
    found = [LINE.fullmatch(line) for line in lines]
    if not found or None in found:
        raise RunFolderError(f"{seal}: expected a SHA-256 and a file name in each line; {PUT_BACK}")
    return {match["name"]: match["sum"] for match in found if match is not None}


def check_seals(run: Path) -> None:
    """`check_seal` for each sealed folder of a run."""
    for sealed in sorted(run.glob(f"*/{SEAL}")):
        check_seal(sealed.parent)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
