"""What fine-tuning the model that comes with t5music on thirty pieces of one composer gains, and what it forgets.

    t5music compile commons
    python tests/benchmarks/personalisation.py --work FOLDER [--data_dir DATA] [--composer NAME] [--steps 100]

The composer is one whose works are all in a corpus' test split, so that the model has seen none of them: by default the
one with most songs in OpenScore. Thirty of the songs are a folder of one's own, 27 to train on and 3 to validate; the
others are measured. What is forgotten is measured on test examples of the model's own tasks, without this composer.

Every training has as many steps, on one core, and is a run in FOLDER; each line of the table is printed when it is
measured, and the same command goes on where it was broken off. From scratch means a model of the same size under the
same settings, at a rate for random weights. Measured: t5music/pretrained/commons/README.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from common import one_core, table

from t5music import files
from t5music.corpora import datasets
from t5music.data.examples.classification import evenly
from t5music.data.loading import loader
from t5music.data.store.token_store import TokenStore
from t5music.evaluation import models
from t5music.inference import pretrained
from t5music.tasks.corpus_styles import CORPORA
from t5music.training.loop import FINISHED_FILE

CORPUS, COMPOSER = "openscore_lieder", "Holmès, Augusta Mary Anne"
NAME = "one_composer"
PIECES, VALIDATION = 30, 3
HELD_OUT, FORGOTTEN = 64, 32  # examples that are measured of each task
TEST = "test"
CPU_FILE, FIGURES_FILE = "cpu_minutes.json", "bits_per_note.json"
MODEL = "as it is"
# What each training adds to `t5music train one_composer`.
TRAININGS: Mapping[str, Sequence[str]] = {
    "personalised": (),
    "from scratch": (
        "--gin_file=runs/personalise.gin",
        "--gin_file=models/t5_1_1/commons.gin",
        "--gin.INITIAL_CHECKPOINT_PATH=None",
        "--gin.warmup_linear.peak=0.015",
        "--gin.warmup_linear.warmup_steps=10",
    ),
    "personalised, --replay 5": ("--replay", "5"),
    "personalised, --adapters": ("--adapters",),
    "personalised, --adapters, rate 0.03": ("--adapters", "--gin.warmup_linear.peak=0.03"),
}


def write_music(corpus: str, composer: str, folder: Path) -> dict[str, str]:
    """Writes a composer's test pieces and the table of their splits; returns piece -> split.

    Training pieces are spread evenly over the corpus' order, which is that of the composer's works.
    """
    records = datasets.records(corpus, TEST, files.data_dir())
    works = {record["id"].decode(): record["midi"] for record in records if record["composer"].decode() == composer}
    if len(works) <= PIECES:
        raise SystemExit(f"{composer} has {len(works)} pieces in the test split of {corpus}: more than {PIECES} needed")
    chosen = list(evenly(list(works), PIECES))
    splits = dict.fromkeys(works, TEST) | dict.fromkeys(chosen, "train")
    splits |= dict.fromkeys(evenly(chosen, VALIDATION), "validation")
    folder.mkdir(parents=True, exist_ok=True)
    for name, midi in works.items():
        (folder / f"{name}.mid").write_bytes(midi)
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "split"), *((f"{name}.mid", split) for name, split in splits.items())])
    return splits


def run(*arguments: str) -> float:
    """Runs `t5music`; returns the minutes of the processor that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "t5music", *arguments], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / 60


def train(folder: Path, arguments: Sequence[str]) -> float:
    """Trains, unless that is finished; returns the minutes of the processor that it took in all."""
    path = folder / CPU_FILE
    minutes: list[float] = json.loads(path.read_text()) if path.is_file() else []
    if not (folder / FINISHED_FILE).is_file():
        minutes.append(run("train", NAME, "--model_dir", str(folder), *arguments))
        path.write_text(json.dumps(minutes))
    return sum(minutes)


def bits_per_note(
    model: models.Models, store: TokenStore, count: int, *, only: Collection[str] = (), without: Collection[str] = ()
) -> float:
    """The bits per note of a model on at most so many test examples of a task, evenly spread over its pieces."""
    examples = store.split(TEST)
    pieces = [str(examples[index]["piece"]) for index in range(len(examples))]
    chosen = [index for index, piece in enumerate(pieces) if (not only or piece in only) and piece not in without]
    batches = loader.eval_batches(
        store, TEST, feature_lengths=model.lengths, batch_size=32, vocabulary=model.vocabulary
    )
    batches.examples = list(evenly(chosen, count))
    return model.score(batches, model.vocabulary.is_note)["bits_per_note"]


def measure(folder: Path, corpus: str, splits: Mapping[str, str]) -> dict[str, float]:
    """What a model needs for the composer's held-out pieces, and for other test music; bits per note."""
    model, stores = models.load([folder]), files.stores_dir()
    other = {
        "chorales": "bach_chorales_continue",
        "songs": "openscore_lieder_continue",
        "quartets": "openscore_string_quartets_continue",
    }
    figures = {
        f"{task} the composer": bits_per_note(model, TokenStore.open(stores / f"{NAME}_{task}"), HELD_OUT)
        for task in ("continue", "infill")
    }
    held_out = [f"{piece}" for piece, split in splits.items() if split == TEST]
    style = f"continue the composer as {CORPORA[corpus].style}"
    figures[style] = bits_per_note(model, TokenStore.open(stores / f"{corpus}_continue"), HELD_OUT, only=held_out)
    for name, task in other.items():
        figures[name] = bits_per_note(model, TokenStore.open(stores / task), FORGOTTEN, without=splits)
    return figures


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains what is not trained yet, measures all, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for the music and the runs")
    parser.add_argument("--data_dir", help="data folder, with commons compiled in it")
    parser.add_argument("--corpus", default=CORPUS)
    parser.add_argument("--composer", default=COMPOSER)
    parser.add_argument("--steps", type=int, default=100)
    options = parser.parse_args(arguments)
    if options.data_dir:
        os.environ["T5MUSIC_DATA"] = options.data_dir
    one_core()
    splits = write_music(options.corpus, options.composer, options.work / NAME)
    run("compile", "--midi", str(options.work / NAME), "--name", NAME, "--labels", "none", "--workers", "1")
    rows, lines = {MODEL: ()} | TRAININGS, list[str]()
    for number, (title, more) in enumerate(rows.items()):
        folder, minutes = options.work / f"row_{number}", 0.0
        model = Path(pretrained.locate(pretrained.DEFAULT)) if title == MODEL else folder
        if model == folder:
            minutes = train(folder, ["--steps", str(options.steps), *more])
        path = folder / FIGURES_FILE
        if not path.is_file():
            folder.mkdir(exist_ok=True)
            path.write_text(json.dumps(measure(model, options.corpus, splits)))
        figures = json.loads(path.read_text())
        cells = [title, *(f"{bits:.2f}" for bits in figures.values()), f"{minutes:.1f}"]
        head = ["bits per note", *figures, "minutes of one core"]
        lines = [*(lines or table(head, []).splitlines()), f"| {' | '.join(cells)} |"]
        print("\n".join(lines if len(lines) == 3 else lines[-1:]), flush=True)


if __name__ == "__main__":
    main()
