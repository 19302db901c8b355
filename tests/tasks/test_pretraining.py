"""The declared tasks of pre-training: T5's objectives over every corpus."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from t5music.corpora.catalogue import CATALOGUE
from t5music.data.examples import Ensembles, Pieces, Songs
from t5music.data.objectives import IidDenoising, Objective, SpanCorruption
from t5music.data.objectives.language_model import Deshuffle, LanguageModel, PrefixLM, SelectRandomChunk

seqio = pytest.importorskip("seqio")

import tiny_corpora  # noqa: E402

import t5music.tasks.mixtures  # noqa: E402, F401  (registers everything with seqio)
from t5music.data.compilation import compile_task as compiling  # noqa: E402
from t5music.data.declaration import get_task  # noqa: E402
from t5music.data.vocabulary import default  # noqa: E402
from t5music.tasks import corpus_styles, pretraining  # noqa: E402


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("data")
    tiny_corpora.build_all(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("T5MUSIC_DATA", str(folder))
        yield folder


def objective(task: str) -> Objective:
    """A task's objective; what comes before it is the choice of a chunk."""
    chunk, step = get_task(task).objectives
    assert chunk == SelectRandomChunk()
    return step


def test_there_are_tasks_for_every_catalogued_corpus_and_no_other():
    assert set(corpus_styles.CORPORA) == {name for name, corpus in CATALOGUE.items() if not corpus.text}
    for name in set(CATALOGUE) - set(corpus_styles.CORPORA):
        assert {f"{name}_language_model", f"{name}_span_corruption"} <= set(seqio.TaskRegistry.names())


@pytest.mark.parametrize(
    ("name", "expected"),
    {
        "span_corruption": SpanCorruption(0.15, 3.0),
        "span_corruption_iid_15": IidDenoising(0.15, "replace_spans"),
        "span_corruption_iid_50": IidDenoising(0.5, "replace_spans"),
        "span_corruption_2_15": SpanCorruption(0.15, 2.0),
        "span_corruption_3_10": SpanCorruption(0.1, 3.0),
        "span_corruption_3_50": SpanCorruption(0.5, 3.0),
        "span_corruption_10_25": SpanCorruption(0.25, 10.0),
        "drop": IidDenoising(0.15, "drop"),
        "mask_in_place": IidDenoising(0.15, "mask_in_place"),
        "bert": IidDenoising(0.15, "bert"),
        "deshuffle": Deshuffle(),
        "prefix_lm": PrefixLM(),
        "language_model": LanguageModel(),
    }.items(),
)
def test_objectives_are_what_their_names_say(name: str, expected: Objective):
    for task, encoding in (("lakh_full", "remi"), ("nes_mdb_tx1", "tx1"), ("maestro_performance", "performance")):
        assert objective(f"{task}_{name}") == expected
        assert get_task(f"{task}_{name}").examples == Pieces(encoding)


def test_the_grid_is_whole_and_its_objectives_differ():
    steps = [objective(f"nottingham_{name}") for name in pretraining.OBJECTIVES]
    assert len(steps) == 26  # five lengths at four rates, drop, mask, BERT, deshuffling, prefix LM, LM
    assert len(set(steps)) == 26


@pytest.mark.parametrize("task", ["nes_songs", "nes_mdb_midi_songs", "nes_nsf_songs"])
def test_music_of_the_nes_is_there_in_whole_songs(task: str):
    declaration = get_task(task)
    assert (declaration.examples, declaration.objectives) == (Songs(), ())


def test_lakh_becomes_music_for_the_nes(data_dir: Path):
    task = get_task("lakh_clean_nes_language_model")
    assert task.examples == Ensembles()
    store = compiling.compile_task(task, data_dir, workers=1, progress=False)
    texts = [default().decode(store.split("train")[n]["targets"]) for n in range(len(store.split("train")))]
    assert {text.split("_")[0] for text in texts} <= {"P1", "P2", "TR"}
    assert len(texts) >= 6 * 6  # two tracks: six placements, of six training pieces or more
    assert store.encoding == "tx1"


def test_apart_leaves_out_what_downstream_corpora_hold_out(data_dir: Path):
    def numbers(task: str) -> set[str]:
        source = seqio.get_mixture_or_task(task).source
        return {piece["opening"] for piece in source.pieces("train")}

    held_out = set()
    for corpus in corpus_styles.DOWNSTREAM:
        for split in ("validation", "test"):
            pieces = seqio.get_mixture_or_task(f"{corpus}_span_corruption").source.pieces(split)
            held_out |= {piece["opening"] for piece in pieces}
    all_of_it, apart = numbers("bach_370_span_corruption"), numbers("bach_370_span_corruption_apart")
    assert all_of_it & held_out == all_of_it - apart
    assert apart
    assert not apart & held_out


def test_span_corruption_runs_in_seqio(data_dir: Path):
    task = seqio.get_mixture_or_task("jsb_chorales_span_corruption")
    assert task.metric_fns == []
    lengths = {"inputs": 128, "targets": 40}
    for example in task.get_dataset(lengths, split="train", shuffle=False, seed=3).take(3).as_numpy_iterator():
        assert default().sentinel(0) in example["inputs"]
        assert example["targets"][0] == default().sentinel(0)
        assert len(example["inputs"]) <= 128
        assert len(example["targets"]) <= 40


@pytest.mark.parametrize(
    ("scale", "words", "classical"),
    [("small", 1024, "piano_e_competition"), ("medium", 1024, "piano_e_competition"), ("paper", 4096, "maestro")],
)
def test_performances_are_whole_crops_for_a_language_model(scale: str, words: int, classical: str):
    for style, corpus in (("classical", classical), ("jazz", "jazz_piano"), ("pop", "pop909")):
        declaration = get_task(f"{scale}_{style}_performances")
        assert declaration.examples == Pieces("performance", words)
        assert declaration.objectives == (SelectRandomChunk(), LanguageModel())
        assert declaration.corpora == (corpus,)
