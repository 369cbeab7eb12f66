"""What a search has written is the same text once it was read and written again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from moco.run_folder.manifest import Manifest
from moco.run_folder.result import CertificateRecord, Result
from moco.run_folder.trial_record import TrialRecord
from moco.run_folder.writing import write_json


@pytest.mark.parametrize(
    ("name", "kind"),
    [("result.json", Result), ("manifest.json", Manifest), ("best/certificate.json", CertificateRecord)],
)
def test_a_file_is_the_same_text_after_it_was_read(finished: Path, tmp_path: Path, name: str, kind: Any) -> None:
    text = (finished / name).read_text(encoding="utf-8")
    write_json(tmp_path / "again.json", kind.from_json(json.loads(text)).to_json())
    assert (tmp_path / "again.json").read_text(encoding="utf-8") == text


def test_trials_are_the_same_text_after_they_were_read(finished: Path, tmp_path: Path) -> None:
    text = (finished / "trials.json").read_text(encoding="utf-8")
    write_json(tmp_path / "again.json", [TrialRecord.from_json(entry).to_json() for entry in json.loads(text)])
    assert (tmp_path / "again.json").read_text(encoding="utf-8") == text
