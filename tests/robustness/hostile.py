"""Hostile input: damaged checkpoints, stores, containers, extreme arguments and gin values. None ends in a traceback.

    PYTHONPATH=tests/helpers python tests/robustness/hostile.py [KIND ...]

Prints, for each kind, how many cases were refused in one line, which were read all the same (what changed is not read,
or is not told apart), and every traceback.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import tiny_models
import tiny_music

from t5music.cli.main import main as command_line
from t5music.configuration import (
    gin_files,
    registry,  # noqa: F401  (registers what gin may set)
)
from t5music.corpora import archives
from t5music.data.examples import Continue
from t5music.data.store.token_store import TokenStore
from t5music.data.vocabulary import default
from t5music.errors import T5MusicError
from t5music.inference import sampling_settings, trained_model, vector_files

Case = tuple[str, Callable[[], object]]  # its name, and what is done with it


def damages(data: bytes, rng: np.random.Generator) -> dict[str, bytes]:
    """A file's bytes, damaged in eight ways; the first four at a place that is drawn."""
    place = int(rng.integers(max(1, len(data))))
    flipped = bytearray(data)
    if flipped:
        flipped[place] ^= 1 << int(rng.integers(8))
    return {
        "cut": data[:place],
        "a bit flipped": bytes(flipped),
        "zeros": data[:place] + bytes(len(data) - place),
        "random": data[:place] + rng.integers(0, 256, len(data) - place, np.uint8).tobytes(),
        "empty": b"",
        "longer": data + b"\xff" * 64,
        "a web page": b"<html>not found</html>",
        "nested": b"[" * 100_000,
    }


def damaged_folder(folder: Path, read: Callable[[Path], object], limit: int) -> Iterator[Case]:
    """Every file of a folder, damaged, replaced by a folder or taken away; then, up to `limit`, at further places."""
    rng = np.random.default_rng(0)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    cases: list[Case] = []
    while len(cases) < limit:
        for file in files:
            contents: dict[str, bytes | None] = {**damages(file.read_bytes(), rng)}
            contents |= {"missing": None, "a folder": None}
            for name in list(contents)[: 4 if len(cases) >= 10 * len(files) else None]:
                case = partial(_with, file, name, contents[name], partial(read, folder))
                cases.append((f"{file.relative_to(folder)}: {name}", case))
    yield from cases[:limit]


def _with(file: Path, name: str, content: bytes | None, attempt: Callable[[], object]) -> None:
    """Makes an attempt while a file has another content; afterwards it is as it was."""
    data = file.read_bytes()
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    elif name == "a folder":
        file.mkdir()
    try:
        attempt()
    finally:
        shutil.rmtree(file) if file.is_dir() else file.unlink(missing_ok=True)
        file.write_bytes(data)


def checkpoints(root: Path) -> Iterator[Case]:
    """The folder of a run."""
    run = tiny_models.write_run(root / "run", {"continue": Continue("pop", "remi")})
    yield from damaged_folder(run, trained_model.load, 136)


def stores(root: Path) -> Iterator[Case]:
    """A token store, opened and read whole."""
    pieces = [tiny_music.line(seed) for seed in range(3)]
    store = tiny_music.write_music(root / "store", pieces, held_out=pieces[:1])

    def read(folder: Path) -> None:
        opened = TokenStore.open(folder, default())
        for split in opened.splits:
            for index in range(opened.examples(split)):
                opened.split(split)[index]

    yield from damaged_folder(store.path, read, 108)


def containers(root: Path) -> Iterator[Case]:
    """Archives and files of vectors."""
    (root / "music").mkdir()
    (root / "music" / "a.mid").write_bytes(bytes(500))
    archive = Path(shutil.make_archive(str(root / "music"), "zip", root / "music")).read_bytes()
    vectors = io.BytesIO()
    np.savez_compressed(vectors, vectors=np.ones((2, 4), np.float32))
    rng = np.random.default_rng(1)
    for suffix, data in ((".zip", archive), (".npz", vectors.getvalue())):
        for name, content in damages(data, rng).items():
            file = root / f"{name.replace(' ', '_')}{suffix}"
            file.write_bytes(content)
            if suffix == ".npz":
                yield f"{suffix}: {name}", lambda file=file: vector_files.read(file)
            else:
                yield f"{suffix}: {name}", lambda file=file: archives.unpack([file], root / "to", progress=False)
    yield ".tar.gz: no archive", lambda: archives.unpack([root / "none.tar.gz"], root / "to", progress=False)


def arguments(root: Path) -> Iterator[Case]:
    """Command lines that cannot be."""
    (root / "a.mid").write_bytes(b"")
    run, song = ["--model_dir", str(root)], ["generate", str(root / "a.mid")]
    lines = [
        *([*song, *run, flag, value] for flag in ("--words", "--variants") for value in ("0", "-3", "ten", "9" * 5000)),
        *([*song, *run, "--seed", value] for value in ("-1", str(2**63), "1e3", "")),
        *(
            [*song, *run, f"--{setting.name}", value]
            for setting in sampling_settings.SETTINGS
            for value in ("-1", "nan", "inf", "x")
        ),
        *([*song, "--model_dir", value] for value in ("", "az://b/run", "https://b/run", "gs://", "\udcff")),
        [*song, *run, "--region", "4", "1"],
        [*song, *run, "--region", "nan", "1"],
        [*song, *run, "--output", "x.wav"],
        [*song, "--modle_dir", "run"],
        ["generate", "--region", "1", "2"],
        ["contine"],
        ["train", "x", *run, "--steps", "-3"],
        ["train", "x", *run, "--batch_size", "0"],
        ["compile", "x", "--workers", "0"],
        ["corpora", "--data_dir", "az://bucket"],
        ["similar", "a.mid", "v.npz", *run, "--top", "0"],
    ]
    for line in lines:
        yield " ".join(line)[:80], lambda line=line: refused(line)


def refused(line: list[str]) -> None:
    """Raises T5MusicError where the command line refuses with status 2 and one line."""
    with contextlib.redirect_stderr(io.StringIO()) as text:
        status = command_line(line)
    if status != 2 or text.getvalue().count("\n") != 1:
        raise AssertionError(f"status {status}: {text.getvalue()}")
    raise T5MusicError(text.getvalue())


def gin_values(root: Path) -> Iterator[Case]:
    """Bindings that cannot be."""
    for binding in (
        *("TrainingData.batch_size = 0", "TrainingData.batch_size = 'x'", "train.train_steps = -3"),
        *("train.train_steps = 1e5", f"train.seed = {2**63}", "train.seed = -1", "Update.microbatches = 0"),
        *("train.model_dir = ''", "train.model_dir = 'az://b'", "TrainingData.task_feature_lengths = 3"),
        *("Update.optimizer = 'adam'", "T5Config.d_model = [1]", "tran.seed = 1", "import os"),
    ):
        yield binding, lambda binding=binding: gin_files.configure([], [binding])


KINDS = {each.__name__: each for each in (checkpoints, stores, arguments, containers, gin_values)}


def run(kind: str) -> tuple[Counter[str], list[str]]:
    """(how often which outcome, the tracebacks) of all cases of a kind."""
    outcomes: Counter[str] = Counter()
    tracebacks = []
    with tempfile.TemporaryDirectory() as folder:
        for name, attempt in KINDS[kind](Path(folder)):
            try:
                attempt()
                outcomes["read"] += 1
            except T5MusicError as error:
                outcomes["refused" if len(str(error).strip().splitlines()) == 1 else "refused in several lines"] += 1
            except Exception as error:
                outcomes["traceback"] += 1
                tracebacks.append(f"{name}: {type(error).__name__}: {error}")
    return outcomes, tracebacks


if __name__ == "__main__":
    for each in sys.argv[1:] or KINDS:
        counts, errors = run(each)
        print(f"{each}: {sum(counts.values())} cases, {dict(counts)}", *errors, sep="\n  ", flush=True)
