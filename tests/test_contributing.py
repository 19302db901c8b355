"""CONTRIBUTING.md: its worked examples work as they stand there.

A block of its code says which file it is: ```python PATH is a whole new file, ```diff PATH is a change of one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from t5music.music import midi
from t5music.music.score import NOTE, Score

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(python|diff) (\S+)\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)

# What is done with the examples, in a process of its own that imports the changed copy.
USES = {
    "a corpus": """
        from t5music.corpora import build, catalogue, datasets
        corpus = catalogue.get("my_songs")
        report = build.build(corpus, root / "songs", data, workers=1, progress=False)
        assert sum(report["pieces"].values()) == 2, report
    """,
    "an encoding": """
        from t5music.data import vocabulary
        from t5music.music import encodings, midi
        level = encodings.get("level")
        events = level.encode(midi.read(song))
        assert level.decode(events).repairs == 0
        assert encodings.grammar_of("level").check([events])[0].share == 1
        assert "level" in vocabulary.default().encodings
    """,
    "an objective": """
        import numpy as np
        import gin
        from t5music.configuration import registry
        from t5music.data import objectives, vocabulary
        reverse = objectives.from_config({"name": "reverse"})
        made = reverse({"targets": np.arange(3)}, np.random.default_rng(0), {}, vocabulary.default())
        assert made["inputs"].tolist() == [2, 1, 0]
        gin.parse_config("TrainingData.objective = @Reverse()")
    """,
    "a task": """
        import seqio
        import t5music.tasks.mixtures
        task = seqio.get_mixture_or_task("bach_chorales_long_continue")
        assert task.source.corpora == ("bach_chorales",)
    """,
    "a verb": """
        import contextlib, io
        from t5music.cli.main import main
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            assert main(["count", str(song)]) == 0
        assert printed.getvalue() == f"{song}: 4 notes\\n"
    """,
    "a stage": """
        from t5music.configuration import gin_files, registry
        from t5music.errors import CheckpointError
        gin_files.configure([], [f"size.model_dir = {str(root)!r}"])
        try:
            registry.STAGES["size"]()
        except CheckpointError as error:
            assert str(root) in str(error)
        else:
            raise AssertionError("there is no run")
    """,
}


def test_every_example_is_one_folder_and_one_change():
    sections = TEXT.split("## Six worked examples")[1].split("\n### ")[1:]
    assert [section.splitlines()[0].lower() for section in sections] == [*list(USES)[:-1], "a stage of a study"]
    for section in sections:
        blocks = re.findall(r"^```(python|diff) (\S+)$", section, flags=re.MULTILINE)
        changes = [path for kind, path in blocks if kind == "diff" and path != "pyproject.toml"]  # a wheel's folders
        folders = {Path(path).parent for kind, path in blocks if kind == "python"}
        assert len(changes) == 1
        assert len(folders) <= 1


def changed(text: str, change: str, path: str) -> str:
    """The text after a change in diff's form. The old lines of each part, between "@@", must stand in it once."""
    for part in re.split(r"^@@\n", change, flags=re.MULTILINE):
        lines = part.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if not line.startswith("+"))
        new = "".join(line[1:] for line in lines if not line.startswith("-"))
        assert text.count(old) == 1, f"{path}: this must stand there once:\n{old}"
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree with all examples applied."""
    root = tmp_path_factory.mktemp("contributing")
    # The folders beside the package are where an installed one has them.
    shutil.copytree(ROOT / "t5music", root / "t5music", ignore=shutil.ignore_patterns("__pycache__", "tasks", "gin"))
    for folder in ("tasks", "gin"):
        shutil.copytree(ROOT / folder, root / "t5music" / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    for kind, path, content in BLOCKS:
        target = root / ("t5music" if path.startswith("tasks/") else "") / path
        if kind == "python":
            assert not target.exists()
            target.parent.mkdir(exist_ok=True)
            target.write_text(content, encoding="utf-8")
        else:
            target.write_text(changed(target.read_text(encoding="utf-8"), content, path), encoding="utf-8")
    return root


@pytest.mark.slow
@pytest.mark.parametrize("example", USES)
def test_the_examples_work(copy: Path, example: str):
    pytest.importorskip("seqio")
    for number in range(2):
        notes = np.zeros(4, NOTE)
        notes["onset"], notes["duration"], notes["velocity"] = np.arange(4) * 480, 480, 80
        notes["pitch"] = 60 + np.arange(4) * (number + 1)
        midi.write(Score(480, notes), copy / "songs" / "anon" / f"{number}.mid")
    lines = [line[8:] for line in USES[example].splitlines()]
    start = "from pathlib import Path\nroot = Path.cwd()\ndata, song = root / 'data', root / 'songs/anon/0.mid'\n"
    process = subprocess.run(
        [sys.executable, "-c", start + "\n".join(lines)],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy), "T5MUSIC_DATA": str(copy / "data")},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
