"""What the source archive and the wheel hold: every module and data file of moco, and no generic name."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[1]
PLUGINS = ("searchers", "objectives", "hardware")
LINKS = {("moco", name) for name in PLUGINS}
DATA = {".css", ".html", ".js", ".yaml"}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is packed: no build reads leftovers of an earlier one, and the working tree stays untouched."""
    tree = tmp_path_factory.mktemp("tree")
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("moco", "experiments", *PLUGINS):
        shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=ignore)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree / name)
    return tree


@pytest.fixture(scope="module")
def built(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the source archive and the wheel that was built from it."""
    dist = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(dist), str(tree)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return dist


@pytest.fixture(scope="module")
def wheel(built: Path) -> zipfile.ZipFile:
    (path,) = built.glob("*.whl")
    return zipfile.ZipFile(path)


def expected(tree: Path, suffixes: set[str]) -> set[str]:
    """Archive names of the tree's files with these suffixes."""
    paths = (path.relative_to(tree) for top in ("moco", *PLUGINS) for path in (tree / top).rglob("*"))
    own = (path for path in paths if path.suffix in suffixes and path.parts[:2] not in LINKS)
    return {path.as_posix() if path.parts[0] == "moco" else f"moco/{path.as_posix()}" for path in own}


def test_the_wheel_holds_exactly_the_modules_of_the_tree(tree: Path, wheel: zipfile.ZipFile) -> None:
    assert {name for name in wheel.namelist() if name.endswith(".py")} == expected(tree, {".py"})


def test_the_wheel_holds_every_plugin_folder(wheel: zipfile.ZipFile) -> None:
    assert {f"moco/{name}/__init__.py" for name in PLUGINS} <= set(wheel.namelist())


def test_the_wheel_holds_the_data_files_and_the_typing_marker(tree: Path, wheel: zipfile.ZipFile) -> None:
    names = {name for name in wheel.namelist() if PurePosixPath(name).suffix in DATA or name.endswith("py.typed")}

    assert names == expected(tree, DATA) | {"moco/py.typed"}


def test_the_wheel_puts_nothing_generic_into_site_packages(wheel: zipfile.ZipFile) -> None:
    tops = {PurePosixPath(name).parts[0] for name in wheel.namelist()}

    assert {top for top in tops if not top.endswith(".dist-info")} == {"moco"}


def test_the_wheel_brings_the_command_and_the_licence(wheel: zipfile.ZipFile) -> None:
    (entry_points,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))

    assert "moco = moco.app.cli:main" in wheel.read(entry_points).decode()
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())


def test_the_source_archive_holds_real_files_only(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        members = archive.getmembers()

    assert [member.name for member in members if member.issym() or member.islnk()] == []
    assert {f"moco/{name}/__init__.py" for name in PLUGINS} <= {m.name.partition("/")[2] for m in members}
