"""A disk that takes no more: every verb that writes, where nothing can be written, and again where there is room.

    PYTHONPATH=tests/helpers python tests/robustness/full_disk.py FOLDER limit|full|read_only [VERB ...]

Run in a process of its own. `limit` forbids files of more than a few bytes (RLIMIT_FSIZE), `full` fills FOLDER, which
is then a file system of its own, and `read_only` mounts that anew. Prints a line of JSON for each verb: what it
returned and said without room, which files differ from before, and what it returned with room.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import tiny_models

from t5music.cli.main import main
from t5music.data.examples import Classify, Continue, LabelNotes
from t5music.music import midi

LIMIT = 10  # bytes of a file
LIMITS = {"train, on": 20_000, "train, a new run": 20_000}  # with room for metrics, and none for weights
TASKS = {
    "continue": Continue("pop", "remi"),
    "composer": Classify("composer", ("bach", "satie"), "remi"),
    "melody": LabelNotes("melody"),
}
TINY = """
include "runs/train.gin"
include "models/t5_1_1/tiny.gin"
TASK_FEATURE_LENGTHS = {"inputs": 192, "targets": 192}
BATCH_SIZE = 1
Validation.examples = 1
Records.samples = 0
"""
STUDY = """
study.name = "mine"
study.title = "One run"
study.seeds = (0,)
study.stages = {"train": {"train": ["tiny.gin"], "MIXTURE_OR_TASK_NAME": "mine_continue", "TRAIN_STEPS": 1}}
study.settings = {"plain": {}}
study.columns = {}
"""
SONG, MODEL = "music/1.mid", ["--model_dir", "model"]
# Name -> the command. All read what `prepare` has made.
VERBS = {
    "compile, a new corpus": ["compile", "--midi", "more", "--name", "more"],
    "compile, again": ["compile", "--midi", "music", "--name", "mine", "--force"],
    "corpora --export": ["corpora", "--export", "mine", "--split", "train", "--to", "exported_music"],
    "train, on": ["train", "mine_continue", "--gin_file=tiny.gin", "--model_dir", "run", "--steps", "2"],
    "train, a new run": ["train", "mine_continue", "--gin_file=tiny.gin", "--model_dir", "new", "--steps", "1"],
    "eval --follow": ["eval", "mine_continue", "--model_dir", "run", "--follow", "--gin.evaluate.idle_minutes=0.0"],
    "study": ["study", "--gin_file=study.gin", "--workers=1"],
    "average": ["average", *MODEL, *MODEL, "--output", "mean"],
    "generate": ["generate", SONG, *MODEL, "--words", "8", "--output", "out.mid"],
    "classify": ["classify", SONG, *MODEL, "--csv", "labels.csv"],
    "label": ["label", SONG, *MODEL, "--output", "labelled.mid"],
    "embed": ["embed", "music", *MODEL, "--output", "vectors.npz"],
    "export": ["export", *MODEL, "--to", "exported"],
}


def prepare(*, train: bool) -> None:
    """Music, a compiled corpus, a model of random weights and perhaps a run of a step, in the current folder."""
    for folder in ("music", "more"):
        for number in range(6):
            midi.write(tiny_models.band(number, bars=8), Path(folder) / f"{number}.mid")
    tiny_models.write_run(Path("model"), TASKS)
    Path("tiny.gin").write_text(TINY)
    Path("study.gin").write_text(STUDY)
    run(["compile", "--midi", "music", "--name", "mine"])
    if train:
        run(["train", "mine_continue", "--gin_file=tiny.gin", "--model_dir", "run", "--steps", "1"])


def run(words: list[str]) -> tuple[int | None, str]:
    """(exit status, or None for a traceback; what it says on stderr)."""
    with contextlib.redirect_stderr(io.StringIO()) as text, contextlib.redirect_stdout(io.StringIO()):
        try:
            return main(words), text.getvalue()
        except Exception:
            return None, text.getvalue() + traceback.format_exc()


def contents() -> dict[str, bytes]:
    """All files but locks and what lies in hidden folders, where unfinished work waits."""
    files = [path for path in Path().rglob("*") if path.is_file()]
    shown = [path for path in files if not any(part.startswith(".") for part in path.parts)]
    return {str(path): path.read_bytes() for path in shown}


@contextlib.contextmanager
def no_room(kind: str, limit: int) -> Iterator[None]:
    """Nothing can be written below the current folder, or no file of more bytes than `limit`."""
    if kind == "limit":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        yield
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    elif kind == "full":
        ballast = os.open(".ballast", os.O_WRONLY | os.O_CREAT)
        with contextlib.suppress(OSError):
            while True:
                os.write(ballast, bytes(4096))
        os.close(ballast)
        yield
        os.unlink(".ballast")
    else:
        subprocess.run(["mount", "-o", "remount,ro", "."], check=True)
        yield
        subprocess.run(["mount", "-o", "remount,rw", "."], check=True)


if __name__ == "__main__":
    place, trouble, *names = sys.argv[1:]
    os.environ["T5MUSIC_DATA"] = os.path.join(place, "data")
    os.chdir(place)
    names = names or list(VERBS)
    prepare(train=any(VERBS[name][0] in ("train", "eval") for name in names))
    for name in names:
        before = contents()
        with no_room(trouble, LIMITS.get(name, LIMIT)):
            status, text = run(VERBS[name])
        after = contents()
        changed = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
        later, later_text = run(VERBS[name])
        print(json.dumps({"verb": name, "status": status, "text": text, "changed": changed, "later": later,
                          "later_text": later_text[-2000:]}), flush=True)  # fmt: skip
