"""Leakage report: how many test pieces share a passage with the music that a model was trained on, for its card.

Splits keep near-duplicates apart by how pieces open (`music.fingerprint`), and works of one composer where the corpus
says so. What they still have in common, such as a hymn's second setting or a quotation, is found here by the
fingerprints that travel with the model (`analysis.run_fingerprints`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from t5music import files
from t5music.analysis import originality
from t5music.analysis.originality import TrainingMusic
from t5music.analysis.run_fingerprints import GUARANTEED, RUN, RunFingerprints
from t5music.corpora import datasets
from t5music.errors import DataError
from t5music.inference.model_card import Leakage, SharedMusic
from t5music.terms import TrainingRun

TEST = "test"


def measure(
    trained_on: Sequence[TrainingRun], music: TrainingMusic | None = None
) -> tuple[Leakage, TrainingMusic | None]:
    """Compares the test pieces of every corpus that a model was trained on with its training pieces.

    Args:
        trained_on: the runs that its weights went through.
        music: its training music; read here if None.

    Returns:
        One entry for each corpus that has test pieces, and the training music. Nothing was measured where it is not
        known what the model was trained on, or its corpora cannot be read on this machine, or have too many pieces for
        fingerprints.
    """
    corpora = originality.corpora_of(trained_on)
    if not all(run.data for run in trained_on) or not corpora:
        return Leakage(not_measured="it is not known what all of its training music was"), music
    if missing := [corpus for corpus in corpora if not _is_readable(corpus)]:
        reason = f"{', '.join(missing)} could not be read on the machine that exported the model"
        return Leakage(not_measured=reason), music
    try:
        music = music or originality.training_music(trained_on)
    except DataError as error:
        return Leakage(not_measured=str(error)), None
    test_sets = tuple(_test_sets(corpora, music.fingerprints))
    return Leakage(test_sets, shortest=RUN + 1, certain=GUARANTEED), music


def _is_readable(corpus: str) -> bool:
    """Whether a corpus is built, in a form that can be read here."""
    try:
        datasets.splits(corpus, files.data_dir())
    except DataError:
        return False
    return True


def _test_sets(corpora: Sequence[str], fingerprints: RunFingerprints) -> Iterator[SharedMusic]:
    for corpus in corpora:
        if TEST not in datasets.splits(corpus, files.data_dir()):
            continue
        pieces = map(datasets.to_piece, datasets.records(corpus, TEST, files.data_dir()))
        shared = {piece.id: fingerprints.longest(piece.score) for piece in pieces}
        piece = max(shared, key=lambda name: shared[name].notes)
        longest = shared[piece]
        yield SharedMusic(
            corpus,
            pieces=len(shared),
            sharing=sum(each.notes > 0 for each in shared.values()),
            sharing_long=sum(each.notes >= GUARANTEED for each in shared.values()),
            longest=longest.notes,
            piece=piece if longest.notes else "",
            training_piece=longest.piece,
        )
