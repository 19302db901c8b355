"""Queues: the scripts that run a study's cells, run here by bash with a t5music that only notes how it was called."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import fake_studies
import pytest

from t5music.cli.main import build_parser
from t5music.studies import queues
from t5music.studies.grid import Study

SETTINGS = ["3", "i.i.d. | one word", "it's $HOME", 'a "b" \\\\ c', "--quiet"]
ARGUMENTS = ["study", "--gin_file=studies/my study.gin", "--dir", "gs://bucket/studies", "--gin.study.seeds=(0, 1)"]
FORMS = [["--print_commands"], ["--print_commands", "{}"], ["--print_commands={}"]]


@pytest.fixture
def study() -> Study:
    return fake_studies.study(SETTINGS, (0, 1))


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with the words of each call of t5music, which is a program that fails as often as FAILURES says."""
    programs = tmp_path / "bin"
    programs.mkdir()
    noted = tmp_path / "calls"
    code = f"import sys; open({str(noted)!r}, 'a').write(repr(sys.argv[1:]) + chr(10))"
    code += f"; sys.exit(len(open({str(noted)!r}).readlines()) <= int(__import__('os').environ.get('FAILURES', 0)))"
    (programs / "t5music").write_text(f"#!{sys.executable}\n{code}\n")
    (programs / "srun").write_text('#!/bin/bash\nexec "$@"\n')
    (programs / "sleep").write_text("#!/bin/bash\n")
    for program in programs.iterdir():
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return noted


def run(script: str, **environment: str) -> int:
    return subprocess.run(["bash", "-c", script], env={**os.environ, **environment}).returncode


def noted(calls: Path) -> list[list[str]]:
    lines = calls.read_text().splitlines()
    calls.unlink()
    return [eval(line) for line in lines]


def expected(cell: str | None = None) -> list[str]:
    return [*ARGUMENTS, "--quiet", *(["--cell", cell] if cell is not None else [])]


def flag(form: Sequence[str], name: str) -> list[str]:
    return [word.format(name) for word in form]


@pytest.mark.parametrize("form", FORMS)
def test_every_cell_has_a_command(study: Study, calls: Path, form: Sequence[str]):
    assert run(queues.cells(study, [*ARGUMENTS, *flag(form, "cells")])) == 0
    assert noted(calls) == [expected(cell.name) for cell in study.cells]


@pytest.mark.parametrize("form", FORMS[1:])
def test_every_job_of_an_array_has_a_cell(study: Study, calls: Path, form: Sequence[str]):
    script = queues.slurm(study, [*flag(form, "slurm"), *ARGUMENTS])
    assert f"#SBATCH --array=0-{len(study.cells) - 1}\n" in script
    lines = script.splitlines()
    assert lines[0] == "#!/bin/bash"
    options = [place for place, line in enumerate(lines) if line.startswith("#SBATCH")]
    assert all(line.startswith("#") for line in lines[: options[-1]]), "SLURM reads no options after a command"
    for number, cell in enumerate(study.cells):
        assert run(script, SLURM_ARRAY_TASK_ID=str(number)) == 0
        assert noted(calls) == [expected(cell.name)]
    assert run(script, SLURM_ARRAY_TASK_ID="0", FAILURES="9") != 0


def test_a_worker_goes_on_after_failures_but_not_for_ever(study: Study, calls: Path):
    script = queues.workers(study, [*ARGUMENTS, "--print_commands", "workers"])
    assert run(script, FAILURES="2") == 0
    assert noted(calls) == [expected()] * 3
    assert run(script, FAILURES="99") == 1
    assert noted(calls) == [expected()] * queues.ATTEMPTS


def test_the_commands_have_flags_that_exist():
    for name in (*queues.FORMS, None):
        flags = build_parser().parse_line(["study", "--gin_file=a.gin", "--print_commands", *([name] if name else [])])
        assert flags.print_commands == (name or "cells")
