"""Originality: the longest passages that music shares with what a model was trained on."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from t5music import files
from t5music.analysis.longest_run import ordered
from t5music.analysis.run_fingerprints import FILE, GUARANTEED, RUN, RunFingerprints
from t5music.corpora import datasets
from t5music.data import vocabulary
from t5music.errors import CheckpointError, MidiError
from t5music.inference import pretrained
from t5music.inference.left_out import LeftOut, by_name
from t5music.inference.model_folder import open_model
from t5music.music import music_files
from t5music.music.score import DRUMS, Score
from t5music.storage import path_of
from t5music.terms import TrainingRun

TRAIN = "train"
RARE = 0.001  # of all notes: an instrument with fewer has not been learned


class TrainingMusic(NamedTuple):
    """What is to be known of the music that a model was trained on.

    Attributes:
        fingerprints: of all pieces.
        programs: that have a thousandth of all notes or more, in order; 128 is percussion.
    """

    fingerprints: RunFingerprints
    programs: tuple[int, ...]


def training_music(trained_on: Sequence[TrainingRun]) -> TrainingMusic:
    """Reads all music that a model was trained on.

    Args:
        trained_on: the runs that its weights went through; the corpora that they read must be built.

    Raises:
        DataError: a corpus is not built, or they have too many pieces for fingerprints.
    """
    counts = np.zeros(DRUMS + 1, np.int64)

    def counted() -> Iterator[tuple[str, Score]]:
        for name, score in _pieces(corpora_of(trained_on)):
            counts[:] += np.bincount(score.notes["program"], minlength=len(counts))
            yield name, score

    fingerprints = RunFingerprints.of(counted())
    heard = (counts > 0) & (counts >= RARE * counts.sum())
    return TrainingMusic(fingerprints, tuple(np.flatnonzero(heard).tolist()))


def corpora_of(trained_on: Sequence[TrainingRun]) -> list[str]:
    """The names of the corpora that training runs read, each once."""
    return list(dict.fromkeys(terms.corpus for run in trained_on for terms in run.data))


def _pieces(corpora: Sequence[str]) -> Iterator[tuple[str, Score]]:
    """("corpus/piece", its score) of every training piece."""
    for corpus in corpora:
        records = datasets.records(corpus, TRAIN, files.data_dir())
        for number in tqdm(range(len(records)), desc=f"{corpus} fingerprints", unit="piece", file=sys.stderr):
            piece = datasets.to_piece(records[number])
            yield f"{corpus}/{piece.id}", piece.score


def original(paths: Sequence[str], model: str) -> dict[str, int]:
    """`t5music original`: prints the longest passage that each file shares with what a model was trained on.

    A file that cannot be read is left out and named on stderr.

    Args:
        paths: MIDI files or scores.
        model: the folder of an exported model that has fingerprints, or a pretrained model's name.

    Returns:
        file, as it is printed -> the notes of its passage, 0 where none of RUN + 1 notes or more is known.

    Raises:
        CheckpointError: the model has no fingerprints, or they are damaged.
        DataError: none of the files can be read.
    """
    folder = path_of(pretrained.locate(model))
    if not (folder / FILE).is_file():
        raise CheckpointError(
            f"{model} has no {FILE}: export it with --fingerprints, on a machine that has its corpora"
        )
    fingerprints = RunFingerprints.load(folder / FILE)
    runs = open_model(folder, vocabulary.default()).metadata.trained_on
    licences = {terms.corpus: terms.licence for run in runs for terms in run.data}
    print(
        f"{model} was trained on {len(fingerprints.names):,} pieces; passages of {GUARANTEED} notes or more are found,"
    )
    print(f"in any key and at any tempo, and shorter ones of more than {RUN} notes most of the time")
    paths_by_name = by_name(paths)
    left_out = LeftOut(len(paths_by_name))
    shared_notes = {}
    for name, path in paths_by_name.items():
        try:
            score = music_files.read(path, name=name)
        except MidiError as error:
            left_out.add(name, error)
            continue
        shared = fingerprints.longest(score)
        shared_notes[name] = shared.notes
        if not shared.notes:
            print(f"{name}: nothing of more than {RUN} notes")
            continue
        begin, end = score.seconds(ordered(score)["onset"])[[shared.start, shared.start + shared.notes - 1]]
        corpus = shared.piece.partition("/")[0]
        print(
            f"{name}: {shared.notes} notes or more, {begin:.1f} to {end:.1f} s, are also in {shared.piece} "
            f"({licences.get(corpus, 'terms not known')})"
        )
    left_out.check()
    left_out.count()
    return shared_notes
