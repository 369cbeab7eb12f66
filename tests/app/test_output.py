"""--json, --quiet and --verbose: what stands on which stream, of answers and of errors, for every command."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import typer

from moco.app.cli import app
from moco.app.command import exit_code_of
from moco.app.output import Answer, Output, plain
from moco.errors import DataError
from moco.hardware import doctor
from tests.app.tiny import moco, one_line, read

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
ANSWER = Answer({"value": float("nan"), "path": Path("a")}, ("a table", "the end"), "the end")


def spoken(work: Any, **asked: bool) -> tuple[int, str, str]:
    """The exit code of a command that does this, and what it wrote on the two streams."""
    output = Output(out=io.StringIO(), err=io.StringIO(), **asked)
    code = exit_code_of(output, work, resumes=False)
    return code, output.out.getvalue(), output.err.getvalue()  # type: ignore[attr-defined]


def fails() -> Answer:
    raise DataError("postgresql://me:secret@host/db: no\nsuch thing")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_the_three_options_an_example_and_help_for_each_option(name: str) -> None:
    command = COMMANDS[name]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {"--json", "--quiet", "--verbose"} <= options
    assert command.epilog.startswith(f"Example: moco {name}")
    assert [parameter.name for parameter in command.params if not parameter.help] == []
    known = {option for word in command.epilog.split() if (option := word).startswith("--")}
    assert known <= options


def test_an_answer_is_whole_brief_or_json() -> None:
    assert spoken(lambda: ANSWER) == (0, "a table\nthe end\n", "")
    assert spoken(lambda: ANSWER, quiet=True) == (0, "the end\n", "")
    code, out, err = spoken(lambda: ANSWER, as_json=True)
    assert (code, json.loads(out), err) == (0, {"value": None, "path": "a"}, "")


def test_an_error_is_one_line_and_with_json_a_document_too() -> None:
    line = "moco: postgresql://me:***@host/db: no such thing\n"
    assert spoken(fails) == spoken(fails, quiet=True) == (1, "", line)
    code, out, err = spoken(fails, as_json=True)
    assert (code, err) == (1, line)
    assert json.loads(out) == {"error": line.removeprefix("moco: ").strip(), "exit_code": 1}


def test_the_place_of_an_error_is_told_to_who_asks_and_secrets_to_nobody() -> None:
    code, out, err = spoken(fails, verbose=True)
    assert (code, out) == (1, "")
    assert err.startswith("Traceback")
    assert "in fails" in err
    assert "secret" not in err


def test_an_error_that_nobody_expected_is_one_line_too() -> None:
    code, _, err = spoken(lambda: 1 / 0)  # type: ignore[arg-type, return-value]
    assert code == 1
    assert (
        err == "moco: an error that moco did not expect: ZeroDivisionError: division by zero; --verbose tells where\n"
    )


def test_quiet_and_verbose_contradict_each_other(tmp_path: Path) -> None:
    assert one_line(moco("report", tmp_path, "--quiet", "--verbose"), 2).startswith("--quiet and --verbose contradict")


def test_what_others_print_and_warn_does_not_stand_in_the_document() -> None:
    def noisy() -> Answer:
        sys.stdout.write("noise\n")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("beware\nof it", stacklevel=1)
        return ANSWER

    _, out, err = spoken(noisy, as_json=True)
    assert json.loads(out)["path"] == "a"
    assert err == "noise\nmoco: warning: beware of it\n"
    assert spoken(noisy, quiet=True)[2] == ""


def test_nor_does_what_other_processes_write(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        output = Output(as_json=True, out=out, err=err)

        def noisy() -> Answer:
            subprocess.run([sys.executable, "-c", "print('noise')"], stdout=out.fileno(), check=True)
            return ANSWER

        assert exit_code_of(output, noisy, resumes=False) == 0
    assert read(tmp_path / "out")["path"] == "a"
    assert (tmp_path / "err").read_text(encoding="utf-8") == "noise\n"


def test_a_wrong_command_or_option_is_one_line_with_the_nearest_one() -> None:
    assert "Did you mean 'search'? See " in one_line(moco("serach"), 2)
    assert "no such option: --resum (Possible options: --resume" in one_line(moco("search", "x", "--resum"), 2)
    done = moco("search", "--json")
    assert json.loads(done.stdout)["exit_code"] == done.exit_code == 2
    assert "missing argument" in json.loads(done.stdout)["error"]


def test_values_that_json_does_not_have() -> None:
    assert plain({1: (float("inf"), {2}, [Path("x")])}) == {"1": [None, [2], ["x"]]}


def test_a_search_as_json_is_its_result(experiment: Any, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = moco("search", experiment(budget={"trials": 2}), "--out", out, "--json", "--verbose")
    assert json.loads(done.stdout) == read(out / "result.json")
    assert "trial 1 (int8) complete" in done.stderr
    assert "compress 0." in done.stderr
    brief = moco("report", out, "--quiet")
    assert len(brief.stdout.splitlines()) == 1
    assert brief.stderr == ""
    assert json.loads(moco("report", out, "--json").stdout) == read(out / "result.json")


@pytest.mark.slow
def test_the_doctor_as_json_is_its_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PACKAGES", ())
    monkeypatch.setattr(doctor, "AA_PLAN", doctor.TimingPlan(seconds=0.01))
    done = moco("doctor", "--json")
    found = {finding["name"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert set(found["processor"]) == {"name", "ok", "detail", "advice"}
    assert "\x1b" not in moco("doctor").stdout


LOADED = """
import sys
from moco.app.cli import main
sys.argv = ["moco", "COMMAND", "--help"]
try:
    main()
finally:
    assert not {"torch", "mlflow", "pyarrow", "sklearn"} & set(sys.modules), "heavy"
"""


def test_help_and_completion_need_no_torch(tmp_path: Path) -> None:
    run = [sys.executable, "-c", LOADED.replace("COMMAND", "compare")]
    done = subprocess.run(run, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Example: moco compare" in done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_names_of_searchers(shell: str) -> None:
    line = "moco compare x.yaml --searchers random,gr"
    asked = {"_MOCO_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": line, "COMP_WORDS": line, "COMP_CWORD": "4"}
    asked["_TYPER_COMPLETE_FISH_ACTION"] = "get-args"
    code = LOADED.replace('["moco", "COMMAND", "--help"]', '["moco"]')
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **asked}, capture_output=True,
        text=True, check=False, timeout=60,
    )  # fmt: skip
    assert "random,greybox" in done.stdout, done.stderr
    assert "random,greedy" in done.stdout
    assert "heavy" not in done.stderr
