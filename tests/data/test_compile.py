"""seqio tasks over a built corpus: as seqio gives them, cached and not, and as token stores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from t5music.data.corpora.base import Corpus, Piece, Skipped
from t5music.data.examples import Classify, Continue, Pieces
from t5music.data.objectives import LanguageModel, SelectRandomChunk, SpanCorruption
from t5music.errors import DataError
from t5music.music import fingerprint
from t5music.music.score import NOTE, Score

seqio = pytest.importorskip("seqio")
tf = pytest.importorskip("tensorflow")

from t5music.data import compile as compiling  # noqa: E402
from t5music.data import mixing, seqio_cache, seqio_tasks  # noqa: E402
from t5music.data.corpora import build  # noqa: E402
from t5music.data.store import find  # noqa: E402
from t5music.data.vocabulary import default  # noqa: E402

PIECES = 12


def piece(number: int) -> Score:
    rng = np.random.default_rng(number)
    notes = np.zeros(60, NOTE)
    notes["onset"] = np.arange(60) * 480
    notes["duration"] = 480
    notes["pitch"] = 60 + rng.integers(0, 20, 60)
    notes["velocity"] = 80
    return Score(480, notes)


def read() -> Iterator[Piece | Skipped]:
    for number in range(PIECES):
        score = piece(number)
        yield Piece(f"{number}.mid", score, {"style": "odd" if number % 2 else "even"}, fingerprint.opening(score))
    yield Skipped("bad.mid", "it is bad")


SMALL = Corpus("small", "t", "free", "here", "", read, lambda: PIECES + 1, {"style": ("even", "odd")})


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A built corpus, and four tasks over it."""
    folder = tmp_path_factory.mktemp("data")
    build.build(SMALL, folder, progress=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("T5MUSIC_DATA", str(folder))
        seqio_tasks.add_task("small_continue", "small", Continue("small", "remi", words=64))
        seqio_tasks.add_task("small_classify", "small", Classify("style", ("even", "odd"), "remi", words=64))
        steps = [SelectRandomChunk(), SpanCorruption()]
        seqio_tasks.add_task("small_spans", "small", Pieces("remi"), steps)
        seqio_tasks.add_task("small_lm", "small", Pieces("remi"), [LanguageModel()])
        yield folder
    for name in ("small_continue", "small_classify", "small_spans", "small_lm"):
        seqio.TaskRegistry.remove(name)


def through_seqio(name: str, **options) -> list[dict[str, np.ndarray]]:
    task = seqio.get_mixture_or_task(name)
    dataset = task.get_dataset(sequence_length={"inputs": 128, "targets": 128}, shuffle=False, **options)
    return list(dataset.as_numpy_iterator())


def test_report_and_rebuild(data_dir: Path):
    report = build.build(SMALL, data_dir, progress=False)
    assert report["skipped"] == {"bad.mid": "it is bad"}
    assert sum(report["pieces"].values()) == PIECES
    with pytest.raises(DataError, match="not built"):
        build.load("absent", data_dir)


def test_a_corpus_is_an_ordinary_tfds_dataset(data_dir: Path):
    import tensorflow_datasets as tfds

    from t5music.music import midi

    dataset = tfds.load("small", data_dir=str(data_dir / "corpora"), split="train")
    for example in dataset.take(2).as_numpy_iterator():
        number = int(example["id"].decode().removesuffix(".mid"))
        assert np.array_equal(midi.read(example["midi"]).notes, piece(number).notes)
        assert example["style"].decode() == ("odd" if number % 2 else "even")


def test_export_writes_midi_files(data_dir: Path, tmp_path: Path):
    from t5music.music import midi

    paths = build.export("small", data_dir, "test", tmp_path)
    assert paths
    assert all(len(midi.read(path).notes) == 60 for path in paths)
    with pytest.raises(DataError, match="no split 'tset'"):
        build.export("small", data_dir, "tset", tmp_path)


def test_inputs_and_targets_are_text_to_the_letter(data_dir: Path):
    example = through_seqio("small_continue", split="train")[0]
    vocabulary = default()
    assert vocabulary.decode(example["inputs"]).startswith("continue small: Bar TimeSig_4/4 Pos_0 Tempo_120 ")
    assert example["inputs_pretokenized"].decode() == vocabulary.decode(example["inputs"])
    assert example["targets"][-1] == 1
    assert {vocabulary.decode(e["targets"]) for e in through_seqio("small_classify", split="train")} == {"even", "odd"}


def test_store_holds_what_seqio_gives(data_dir: Path):
    for name in ("small_continue", "small_classify"):
        store = compiling.compile_task(seqio.get_mixture_or_task(name), data_dir, progress=False)
        for split in ("train", "validation", "test"):
            expected = through_seqio(name, split=split)
            stored = store.split(split)
            assert len(stored) == len(expected)
            for one, other in zip(expected, (stored[i] for i in range(len(stored))), strict=True):
                for feature in ("inputs", "targets"):
                    assert np.array_equal(one[feature], np.append(other[feature], 1)[:128])
                assert other["piece"] == one["piece"].decode()


def test_manifest_counts_and_says_what_is_asked(data_dir: Path):
    store = compiling.compile_task(seqio.get_mixture_or_task("small_spans"), data_dir, progress=False)
    manifest = store.manifest
    assert manifest["objectives"] == [step.to_config() for step in (SelectRandomChunk(), SpanCorruption())]
    assert manifest["examples"] == {"kind": "pieces", "encoding": "remi", "words": 1024}
    splits = manifest["splits"].values()
    assert sum(entry["notes"] for entry in splits) == 60 * PIECES
    assert sum(entry["seconds"] for entry in splits) == pytest.approx(30.0 * PIECES)


def test_compiling_twice_gives_the_same_bytes(data_dir: Path):
    task = seqio.get_mixture_or_task("small_continue")

    def contents() -> dict[str, bytes]:
        store = compiling.compile_task(task, data_dir, force=True, progress=False)
        return {path.name: path.read_bytes() for path in sorted(store.path.iterdir())}

    assert contents() == contents()


def test_objectives_run_in_seqio_too_and_use_its_seed(data_dir: Path):
    one, same, other = (through_seqio("small_spans", split="train", seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a["inputs"], b["inputs"]) for a, b in zip(one, same, strict=True))
    assert any(not np.array_equal(a["inputs"], b["inputs"]) for a, b in zip(one, other, strict=True))
    sentinel = default().sentinel(0)
    assert all(sentinel in e["inputs"] and e["targets"][0] == sentinel for e in one)


def test_seqio_cache_gives_the_same_examples(data_dir: Path, tmp_path: Path):
    task = seqio.get_mixture_or_task("small_continue")
    store = compiling.compile_task(task, data_dir, progress=False)
    seqio_cache.write(task, store, tmp_path)
    seqio.add_global_cache_dirs([str(tmp_path)])
    cached = through_seqio("small_continue", split="train", use_cached=True)
    uncached = through_seqio("small_continue", split="train", use_cached=False)
    assert len(cached) == len(uncached)
    for one, other in zip(cached, uncached, strict=True):
        assert np.array_equal(one["inputs"], other["inputs"])
        assert np.array_equal(one["targets"], other["targets"])
    assert task.get_cached_stats("train")["examples"] == len(cached)


def test_mixture_is_written_down_with_its_rates(data_dir: Path):
    rates = [("small_continue", mixing.Proportional(maximum=5)), ("small_classify", 2.0)]
    seqio.MixtureRegistry.add("small_mixture", rates)
    try:
        mixture = seqio.get_mixture_or_task("small_mixture")
        for task in seqio.get_subtasks(mixture):
            compiling.compile_task(task, data_dir, progress=False)
        compiling.compile_mixture(mixture, data_dir)
        found = {store.name: rate for store, rate in find(data_dir / "stores", "small_mixture")}
        assert found == {"small_continue": mixing.Proportional(maximum=5), "small_classify": mixing.Constant(2.0)}
        seqio.MixtureRegistry.add("small_own_rate", [("small_continue", lambda task: 3.0)])
        with pytest.raises(DataError, match="neither a number nor a Rate"):
            compiling.compile_mixture(seqio.get_mixture_or_task("small_own_rate"), data_dir)
    finally:
        for name in ("small_mixture", "small_own_rate"):
            seqio.MixtureRegistry.remove(name)


def test_a_task_with_other_steps_after_the_cache_cannot_be_compiled(data_dir: Path):
    task = seqio.get_mixture_or_task("small_continue")
    odd = task.replace(name="odd", preprocessors=[*task.preprocessors[:3], lambda dataset: dataset])
    with pytest.raises(DataError, match="only objectives may be"):
        compiling.compile_task(odd, data_dir, progress=False)


def test_label_tasks_carry_their_metrics(data_dir: Path):
    task = seqio.get_mixture_or_task("small_classify")
    assert [function.__name__ for function in task.metric_fns] == ["accuracy", "macro_f1"]
    targets = [default().decode(e["targets"]) for e in through_seqio("small_classify", split="train")]
    for function in task.metric_fns:
        assert next(iter(function(targets, targets).values())) == 100.0
        assert next(iter(function(targets, ["odd"] * len(targets)).values())) < 100.0


def test_a_changed_declaration_is_compiled_again(data_dir: Path):
    task = seqio.get_mixture_or_task("small_continue")
    compiling.compile_task(task, data_dir, progress=False)
    shorter = seqio_tasks.PiecePreprocessor(Continue("small", "remi", words=32))
    assert compiling.compiled(task, data_dir) is not None
    assert compiling.compiled(task.replace(preprocessors=[shorter, *task.preprocessors[1:]]), data_dir) is None
