"""seqio tasks over a built corpus: as seqio gives them, cached and not, and as token stores."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from lock_holders import other_process

from t5music.corpora.base import Corpus, Entry, Piece, Skipped
from t5music.data.examples import Classify, Continue, Example, Pieces
from t5music.data.objectives import SpanCorruption
from t5music.data.objectives.language_model import LanguageModel, SelectRandomChunk
from t5music.errors import ConfigError, DataError, MidiError
from t5music.music.score import NOTE, Score

seqio = pytest.importorskip("seqio")
tf = pytest.importorskip("tensorflow")

from t5music import locks, parallel  # noqa: E402
from t5music.corpora import build, datasets  # noqa: E402
from t5music.data import declaration, mixing_rates  # noqa: E402
from t5music.data.compilation import compile_task as compiling  # noqa: E402
from t5music.data.compilation import shards  # noqa: E402
from t5music.data.declaration import Declaration, add_mixture, add_task, get_task  # noqa: E402
from t5music.data.seqio_bridge import cache, tasks  # noqa: E402
from t5music.data.store.token_store import TokenStore, find, write_mixture  # noqa: E402
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


def entries(root: Path) -> list[Entry]:
    pieces = [Entry(f"{n}.mid", root, {"style": "odd" if n % 2 else "even"}, more={"number": n}) for n in range(PIECES)]
    return [*pieces, Entry("bad.mid", root)]


def read(entry: Entry) -> Iterator[Piece | Skipped]:
    if not entry.more:
        yield Skipped(entry.id, "it is bad")
    else:
        yield Piece(entry.id, piece(entry.more["number"]), entry.labels)


SMALL = Corpus("small", "t", "free", "here", "", entries, read, labels={"style": ("even", "odd")})


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A built corpus, and four tasks over it."""
    folder = tmp_path_factory.mktemp("data")
    build.build(SMALL, folder, folder, progress=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("T5MUSIC_DATA", str(folder))
        tasks.register_everything()
        add_task("small_continue", "small", Continue("small", "remi", words=64))
        add_task("small_classify", "small", Classify("style", ("even", "odd"), "remi", words=64))
        steps = [SelectRandomChunk(), SpanCorruption()]
        add_task("small_spans", "small", Pieces("remi"), steps)
        add_task("small_lm", "small", Pieces("remi"), [LanguageModel()])
        yield folder
    names = ("small_continue", "small_classify", "small_spans", "small_lm")
    declaration.remove(names)
    assert not set(names) & set(seqio.TaskRegistry.names())


def through_seqio(name: str, **options) -> list[dict[str, np.ndarray]]:
    task = seqio.get_mixture_or_task(name)
    dataset = task.get_dataset(sequence_length={"inputs": 128, "targets": 128}, shuffle=False, **options)
    return list(dataset.as_numpy_iterator())


def test_inputs_and_targets_are_text_to_the_letter(data_dir: Path):
    example = through_seqio("small_continue", split="train")[0]
    vocabulary = default()
    assert vocabulary.decode(example["inputs"]).startswith("continue small: Bar TimeSig_4/4 Pos_0 Tempo_120 ")
    assert example["inputs_pretokenized"].decode() == vocabulary.decode(example["inputs"])
    assert example["targets"][-1] == 1
    assert {vocabulary.decode(e["targets"]) for e in through_seqio("small_classify", split="train")} == {"even", "odd"}


def test_store_holds_what_seqio_gives(data_dir: Path):
    for name in ("small_continue", "small_classify"):
        store = compiling.compile_task(get_task(name), data_dir, progress=False)
        for split in ("train", "validation", "test"):
            expected = through_seqio(name, split=split)
            stored = store.split(split)
            assert len(stored) == len(expected)
            for one, other in zip(expected, (stored[i] for i in range(len(stored))), strict=True):
                for feature in ("inputs", "targets"):
                    assert np.array_equal(one[feature], np.append(other[feature], 1)[:128])
                assert other["piece"] == one["piece"].decode()


def test_manifest_counts_and_says_what_is_asked(data_dir: Path):
    store = compiling.compile_task(get_task("small_spans"), data_dir, progress=False)
    manifest = store.manifest.content
    assert manifest["objectives"] == [step.to_config() for step in (SelectRandomChunk(), SpanCorruption())]
    assert manifest["examples"] == {"kind": "pieces", "encoding": "remi", "words": 1024}
    splits = manifest["splits"].values()
    assert sum(entry["notes"] for entry in splits) == 60 * PIECES
    assert sum(entry["seconds"] for entry in splits) == pytest.approx(30.0 * PIECES)


def test_compiling_twice_gives_the_same_bytes(data_dir: Path):
    task = get_task("small_continue")
    one, two = (contents(compiling.compile_task(task, data_dir, force=True, progress=False)) for _ in range(2))
    assert one == two


def test_objectives_run_in_seqio_too_and_use_its_seed(data_dir: Path):
    one, same, other = (through_seqio("small_spans", split="train", seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a["inputs"], b["inputs"]) for a, b in zip(one, same, strict=True))
    assert any(not np.array_equal(a["inputs"], b["inputs"]) for a, b in zip(one, other, strict=True))
    sentinel = default().sentinel(0)
    assert all(sentinel in e["inputs"] and e["targets"][0] == sentinel for e in one)


def test_seqio_cache_gives_the_same_examples(data_dir: Path, tmp_path: Path):
    task = seqio.get_mixture_or_task("small_continue")
    store = compiling.compile_task(get_task("small_continue"), data_dir, progress=False)
    cache.write("small_continue", store, tmp_path)
    seqio.add_global_cache_dirs([str(tmp_path)])
    cached = through_seqio("small_continue", split="train", use_cached=True)
    uncached = through_seqio("small_continue", split="train", use_cached=False)
    assert len(cached) == len(uncached)
    for one, other in zip(cached, uncached, strict=True):
        assert np.array_equal(one["inputs"], other["inputs"])
        assert np.array_equal(one["targets"], other["targets"])
    assert task.get_cached_stats("train")["examples"] == len(cached)
    folder = tmp_path / "small_continue"
    (folder / "COMPLETED").write_text("mine")
    cache.write("small_continue", store, tmp_path)
    assert (folder / "COMPLETED").read_text() == "mine", "the cache of this store is left as it is"
    (folder / cache.SOURCE).unlink()
    with pytest.raises(ConfigError, match="small_continue exists: choose another name by --seqio_cache, or replace"):
        cache.write("small_continue", store, tmp_path)
    cache.write("small_continue", store, tmp_path, force=True)
    assert (folder / "COMPLETED").read_text() == ""
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_mixture_is_written_down_with_its_rates(data_dir: Path):
    rates = {"small_continue": mixing_rates.Proportional(maximum=5), "small_classify": mixing_rates.Constant(2.0)}
    add_mixture("small_mixture", rates)
    try:
        in_seqio = seqio.get_mixture_or_task("small_mixture").rate_per_task_name
        tasks = {name: seqio.get_mixture_or_task(name) for name in in_seqio}
        pieces = tasks["small_continue"].num_input_examples("train")
        assert {name: rate(tasks[name]) for name, rate in in_seqio.items()} == {
            "small_continue": min(5, pieces),
            "small_classify": 2.0,
        }
        for task in declaration.tasks_of("small_mixture"):
            compiling.compile_task(task, data_dir, progress=False)
        write_mixture(compiling.stores_dir(data_dir), "small_mixture", declaration.MIXTURES["small_mixture"].rates)
        assert {store.name: rate for store, rate in find(data_dir / "stores", "small_mixture")} == rates
    finally:
        declaration.remove(["small_mixture"])
    assert "small_mixture" not in seqio.MixtureRegistry.names()


def test_label_tasks_carry_their_metrics(data_dir: Path):
    task = seqio.get_mixture_or_task("small_classify")
    assert [function.__name__ for function in task.metric_fns] == ["accuracy", "macro_f1"]
    targets = [default().decode(e["targets"]) for e in through_seqio("small_classify", split="train")]
    for function in task.metric_fns:
        assert next(iter(function(targets, targets).values())) == 100.0
        assert next(iter(function(targets, ["odd"] * len(targets)).values())) < 100.0


def test_a_changed_declaration_is_compiled_again(data_dir: Path):
    task = get_task("small_continue")
    compiling.compile_task(task, data_dir, progress=False)
    assert compiling.compiled(task, data_dir) is not None
    assert compiling.compiled(replace(task, examples=Continue("small", "remi", words=32)), data_dir) is None


# ------------------------------------------------------------------------------------------------------------- parts


def contents(store: TokenStore) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(store.path.iterdir())}


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "PIECES_PER_PART", 3)


def parts_compiled(monkeypatch: pytest.MonkeyPatch, stop_at: int | None = None) -> list[str]:
    """The names of the parts that are compiled from now on; the interrupt comes instead of number `stop_at`."""
    names: list[str] = []
    compile_part = shards.compile_part

    def recorded(job: shards.Job, part: parallel.Part[int]) -> None:
        if len(names) == stop_at:
            raise KeyboardInterrupt
        names.append(part.file.name)
        compile_part(job, part)

    monkeypatch.setattr(shards, "compile_part", recorded)
    return names


def test_bytes_do_not_depend_on_workers_or_interruption(data_dir: Path, small_parts: None):
    task = get_task("small_continue")
    whole = contents(compiling.compile_task(task, data_dir, workers=1, force=True, progress=False))
    assert len([name for name in whole if name.startswith("train")]) > 1
    assert contents(compiling.compile_task(task, data_dir, workers=2, force=True, progress=False)) == whole
    with pytest.MonkeyPatch.context() as patch:
        before = parts_compiled(patch, stop_at=2)
        with pytest.raises(KeyboardInterrupt):
            compiling.compile_task(task, data_dir, workers=1, force=True, progress=False)
    work = next((data_dir / "stores").glob(".small_continue.*"))
    (work / "store" / ".train-00000-of-00009.records.x").write_bytes(b"left by a killed worker")
    with pytest.MonkeyPatch.context() as patch:
        after = parts_compiled(patch)
        assert contents(compiling.compile_task(task, data_dir, workers=1, force=True, progress=False)) == whole
    assert len(before) == 2
    assert not set(before) & set(after)
    assert not list((data_dir / "stores").glob(".small_continue.*"))


def test_tasks_that_differ_in_their_objectives_are_compiled_once(data_dir: Path, monkeypatch: pytest.MonkeyPatch):
    one = compiling.compile_task(get_task("small_spans"), data_dir, force=True, progress=False)
    names = parts_compiled(monkeypatch)
    task = get_task("small_lm")
    shared = compiling.compile_task(task, data_dir, progress=False)
    assert not names
    assert shared.objectives == [LanguageModel()]
    taken = contents(shared)
    assert [content for name, content in taken.items() if name.endswith("records")] == [
        content for name, content in contents(one).items() if name.endswith("records")
    ]
    assert contents(compiling.compile_task(task, data_dir, force=True, progress=False)) == taken
    assert names


@dataclass(frozen=True)
class Picky(Pieces):
    """Music alone, but not every piece."""

    kind: ClassVar[str] = "picky"
    refused: tuple[str, ...] = ()

    def examples(self, piece: Piece) -> Iterator[Example]:
        yield from super().examples(piece)
        if piece.id in self.refused:
            raise MidiError(f"{piece.id}: has {len(piece.id)} faults")


def picky(name: str, *refused: str) -> Declaration:
    return replace(get_task("small_lm"), name=name, examples=Picky("remi", refused=refused))


def test_pieces_that_cannot_be_said_are_left_out_and_counted(data_dir: Path, small_parts: None):
    refused = tuple(record["id"].decode() for record in datasets.Pieces(["small"], "train", data_dir))[:3]
    store = compiling.compile_task(picky("picky", *refused), data_dir, workers=1, progress=False)
    ids = {store.split("train")[index]["piece"] for index in range(store.examples("train"))}
    train = store.manifest.content["splits"]["train"]
    assert not ids & set(refused)  # a whole part: its shard is empty
    assert len(train["shards"]) > 1
    assert (train["pieces"], len(ids)) == (len(ids) + 3, train["pieces"] - 3)
    assert train["skipped"] == {"has # faults": {"count": 3, "example": refused[0]}}
    assert f"3 x left out: has # faults (for example {refused[0]})" in compiling.summary(store)
    assert "| has # faults | 3 |" in (store.path / "report.md").read_text()


def test_nothing_to_train_on_is_an_error_that_says_why(data_dir: Path):
    task = picky("nothing", *(f"{number}.mid" for number in range(PIECES)))
    with pytest.raises(DataError, match=r"no training example: its corpora gave \d+ train, .* x has # faults"):
        compiling.compile_task(task, data_dir, workers=1, progress=False)
    assert not list((data_dir / "stores").glob("*nothing*"))


def test_a_full_disk_is_an_error_and_the_old_store_stays(data_dir: Path, monkeypatch: pytest.MonkeyPatch):
    task = get_task("small_classify")
    before = contents(compiling.compile_task(task, data_dir, progress=False))

    class Full:
        def write(self, record: bytes) -> None:
            raise OSError(28, "No space left on device")

        def close(self) -> None: ...

    monkeypatch.setattr(shards, "RecordWriter", lambda path: Full())
    with pytest.raises(DataError, match=r"cannot write .*records: No space left on device"):
        compiling.compile_task(task, data_dir, workers=1, force=True, progress=False)
    monkeypatch.undo()
    monkeypatch.setenv("T5MUSIC_DATA", str(data_dir))
    assert contents(compiling.compile_task(task, data_dir, progress=False)) == before


def test_a_store_of_another_corpus_or_declaration_is_not_taken(data_dir: Path):
    task = get_task("small_classify")
    store = compiling.compile_task(task, data_dir, progress=False)
    manifest = json.loads((store.path / "manifest.json").read_text())
    terms = manifest["terms"][0]
    assert terms["corpus"] == "small"
    for key, value in (
        ("apart_from", ["other"]),
        ("metrics", []),
        ("corpora", {"small": {}}),
        ("terms", [terms | {"corpus": "other"}]),
        ("terms", [terms | {"licence": "another"}]),
        ("terms", []),
    ):
        (store.path / "manifest.json").write_text(json.dumps(manifest | {key: value}))
        assert compiling.compiled(task, data_dir) is None, key
    (store.path / "manifest.json").write_text(json.dumps(manifest))
    assert compiling.compiled(task, data_dir) is not None


def test_what_another_process_compiles_is_waited_for_and_read(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    task, stores = get_task("small_lm"), compiling.stores_dir(data_dir)
    store = compiling.compile_task(task, data_dir, progress=False)
    aside = data_dir / "aside"
    store.path.rename(aside)
    with other_process(stores / ".small_lm.lock") as other, monkeypatch.context() as patch:

        def sleep(seconds: float) -> None:  # the other process is done
            if seconds == locks.POLL_SECONDS:
                aside.rename(store.path)
                other.communicate()

        patch.setattr(locks.time, "sleep", sleep)
        patch.setattr(compiling, "_compile", lambda *arguments: pytest.fail("it is there"))
        assert compiling.compile_task(task, data_dir, progress=False).manifest == store.manifest
    assert f"store of small_lm: waiting for process {other.pid}" in capsys.readouterr().err
