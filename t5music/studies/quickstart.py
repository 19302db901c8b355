"""`t5music quickstart`: pre-training, fine-tuning, evaluation and generation, on two cores in minutes.

Pre-trains on vocal and folk music, fine-tunes on Bach's chorales, trains a control from scratch, compares both with
baselines that know no music, and writes music for a held-out chorale. Every stage goes on where it stopped.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from t5music import figures, files
from t5music.configuration import gin_files, registry
from t5music.data.examples import Accompany, Continue
from t5music.data.examples.accompaniment import in_tracks_or_first
from t5music.errors import DataError
from t5music.inference import generate
from t5music.music import midi
from t5music.runs.other_verbs import run_verb
from t5music.studies.report import curves, table

CONTINUE, ACCOMPANY, COMPOSER = "bach_chorales_continue", "bach_chorales_accompany", "classify_composer"
MIXTURES = ("quickstart_pretrain", "quickstart_finetune")
RUNS = {"from scratch": "from_scratch", "pre-trained": "finetuned"}
PROMPT_BARS = 4


def run(folder: str) -> str:
    """Runs every stage that is not finished yet.

    Args:
        folder: the folder of all corpora, stores, runs, tables, music and pictures.

    Returns:
        The table that it prints.
    """
    root = Path(folder)
    start = time.monotonic()
    os.environ["T5MUSIC_DATA"] = str((root / "data").resolve())
    if not root.exists():
        files.write_text(root / ".gitignore", "*\n")

    _print_heading("1/5 corpora and token stores")
    run_verb("compile", *MIXTURES)
    held_out = _held_out_chorale(root)

    _print_heading("2/5 pre-training by span corruption on madrigals, Trecento music and fiddle tunes")
    pretrained = root / "pretrained"
    _train("quickstart/pretrain.gin", pretrained)

    _print_heading("3/5 fine-tuning on chorales, from the pre-trained model and from scratch")
    _train("quickstart/finetune.gin", root / RUNS["pre-trained"], INITIAL_CHECKPOINT_PATH=str(pretrained))
    _train("quickstart/finetune.gin", root / RUNS["from scratch"])

    _print_heading("4/5 evaluation on held-out pieces")
    results = {name: _evaluate(root / run_folder) for name, run_folder in RUNS.items()}
    markdown = results_table(results)
    files.write_text(root / "table.md", markdown + "\n")
    picture = root / "loss.png"
    has_picture = not figures.left_out(str(picture))
    if has_picture:
        folders = {name: root / run_folder for name, run_folder in RUNS.items()}
        curves.draw(folders, picture, title="Fine-tuning on chorales: continue, accompany, classify composer")

    _print_heading("5/5 music for a held-out chorale")
    _write_music(root, held_out)
    print(f"\n{markdown}\n")
    print("Held-out pieces; bits per note: lower is better." + (f" Loss curves: {picture}" if has_picture else ""))
    print(f"Done in {time.monotonic() - start:.0f} s; everything is in {root}/")
    return markdown


def _print_heading(stage: str) -> None:
    print(f"\n== {stage}", flush=True)


def _held_out_chorale(root: Path) -> Path:
    """A MIDI file of music that no model has seen: the first chorale of the test split with at least 16 bars."""
    folder = root / "held_out"
    if not folder.is_dir():
        with files.replacing_folder(folder) as unfinished:
            run_verb("corpora", "--export", "bach_chorales", "--split", "test", "--to", str(unfinished))
    for path in sorted(folder.glob("*.mid")):
        score = midi.read(path)
        if len(score.bars()[0]) >= 16:
            return path
    raise DataError(f"{folder} has no chorale of 16 bars: remove the folder and start again")


def _train(gin_file: str, model_dir: Path, **macros: str) -> None:
    settings = {"MODEL_DIR": str(model_dir), **macros}
    gin_files.configure([gin_file], [gin_files.binding(name, value) for name, value in settings.items()])
    registry.train()


def _evaluate(model_dir: Path) -> dict[str, dict[str, float]]:
    macros = {"MIXTURE_OR_TASK_NAME": MIXTURES[1], "MODEL_DIR": str(model_dir), "SPLIT": "test"}
    bindings = [gin_files.binding(name, value) for name, value in macros.items()]
    gin_files.configure(["runs/eval.gin"], [*bindings, "evaluate.samples = 4"])
    return registry.evaluate()


def results_table(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """The quickstart's table of runs and baselines, in Markdown.

    Args:
        results: row -> task -> metrics, from `runs.evaluate`, those of the baselines among them.
    """
    any_run = next(iter(results.values()))

    def bits(value: float) -> str:
        return f"{value:.2f}"

    def share(value: float) -> str:
        return f"{100 * value:.1f} %"

    labels = sum(name.startswith("recall/") for name in any_run[COMPOSER])
    rows = {
        "uniform": [
            *(bits(any_run[task]["uniform_bits_per_note"]) for task in (CONTINUE, ACCOMPANY)),
            share(1 / labels),
            "",
        ],
        "unigram / majority class": [
            *(bits(any_run[task]["unigram_bits_per_note"]) for task in (CONTINUE, ACCOMPANY)),
            share(any_run[COMPOSER]["majority_accuracy"]),
            "",
        ],
    }
    for name, metrics in results.items():
        composer = metrics[COMPOSER]
        notes = [bits(metrics[task]["bits_per_note"]) for task in (CONTINUE, ACCOMPANY)]
        rows[name] = [*notes, share(composer["accuracy"]), share(composer["macro_f1"])]
    columns = ["", "continue (bits/note)", "accompany (bits/note)", "composer (accuracy)", "composer (macro-F1)"]
    return table.markdown(columns, rows)


def _write_music(root: Path, chorale: Path) -> None:
    """Continues the chorale's first bars, and sets alto, tenor and bass under its soprano."""
    score = midi.read(chorale)
    starts, _ = score.bars()
    sources = {
        Continue.kind: ("prompt", score.crop(0, int(starts[PROMPT_BARS]))),
        Accompany.kind: ("soprano", score.with_notes(score.notes[in_tracks_or_first(score, ("soprano",))])),
    }
    model_dir = str(root / RUNS["pre-trained"])
    for kind, (name, music) in sources.items():
        source = root / f"{chorale.stem}_{name}.mid"
        midi.write(music, source)
        output = root / f"{chorale.stem}_{kind}.mid"
        generate.generate(str(source), model_dir, task=kind, output=str(output), temperature=0.7, force=True)
