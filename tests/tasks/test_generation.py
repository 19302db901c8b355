"""The declared tasks of generation: what they ask and answer, as stores, and under seqio's Evaluator."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from t5music.data import examples
from t5music.data.vocabulary import default

seqio = pytest.importorskip("seqio")

import tiny_corpora  # noqa: E402

import t5music.tasks.mixtures  # noqa: E402, F401  (declares them)
from t5music.data import declaration  # noqa: E402
from t5music.data.compilation import compile_task as compiling  # noqa: E402
from t5music.data.declaration import get_task  # noqa: E402

LENGTHS = {"inputs": 512, "targets": 512}
BAR = "Bar TimeSig_4/4 Pos_0 "
# Task -> how every input and every target begins.
TASKS = {
    "jsb_chorales_continue": ("continue chorale: Bar TimeSig_4/4 ", "Bar TimeSig_4/4 "),
    "jsb_chorales_accompany": (f"accompany chorale: {BAR}Tempo_120 ", f"{BAR}Tempo_120 Program_52 "),
    "bach_370_accompany": (f"accompany chorale: {BAR}Tempo_120 ", f"{BAR}Tempo_120 Program_52 "),
    "pop909_accompany": (f"accompany pop: {BAR}Tempo_120 Program_0 ", f"{BAR}Tempo_120 Program_0 "),
    "nottingham_accompany": (f"accompany folk: {BAR}Tempo_120 Program_40 ", f"{BAR}Tempo_120 Program_40 "),
    "pop909_infill": ("infill pop: Bar TimeSig_4/4 ", "<extra_id_0> Bar TimeSig_4/4 "),
    "pop909_performance_infill": ("infill pop: ", "<extra_id_0> "),
    "pop909_performance_continue": ("continue pop: ", ""),
    "nottingham_melody_continue": ("continue folk melody: Bar TimeSig_4/4 ", "Bar TimeSig_4/4 "),
    "pop909_develop": (f"develop theme: {BAR}Tempo_120 ", f"{BAR}Tempo_120 "),
    "nottingham_improvise": ("improvise folk", f"{BAR}Tempo_120 "),
    "nes_continue": ("continue nes: ", ""),
    "nes_infill": ("infill nes: ", "<extra_id_0> "),
    "nes_improvise": ("improvise nes", "P1_NOTEON_"),
    "asap_perform": (f"perform: {BAR}Tempo_120 Program_0 ", ""),
    "midicaps_compose": ("compose: Piece 50", f"{BAR}Tempo_120 "),
}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("data")
    tiny_corpora.build_all(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("T5MUSIC_DATA", str(folder))
        yield folder


through_seqio = partial(tiny_corpora.through_seqio, lengths=LENGTHS)


@pytest.mark.parametrize("name", TASKS)
def test_task_asks_and_answers(name: str, data_dir: Path):
    task, vocabulary = get_task(name), default()
    store = compiling.compile_task(task, data_dir, workers=1, progress=False)
    assert store.kind == task.examples
    assert store.manifest.metrics == ("word_accuracy",)
    question, answer = TASKS[name]
    for split in ("train", "validation", "test"):
        stored = store.split(split)
        assert len(stored) > 0
        for index in range(len(stored)):
            assert vocabulary.decode(stored[index]["inputs"]).startswith(question)
            assert vocabulary.decode(stored[index]["targets"]).startswith(answer)
            assert max(len(stored[index][feature]) for feature in LENGTHS) < 512  # with EOS, all of it is seen


def test_store_holds_what_seqio_gives(data_dir: Path):
    name = "asap_perform"
    store = compiling.compile_task(get_task(name), data_dir, workers=1, progress=False)
    stored = store.split("train")
    expected = through_seqio(name)
    assert len(stored) == len(expected)
    for index, example in enumerate(expected):
        for feature in LENGTHS:
            assert np.array_equal(example[feature], np.append(stored[index][feature], 1))
            assert default().decode(example[feature]) == example[f"{feature}_pretokenized"].decode()


def test_every_kind_that_composes_is_the_kind_of_some_task():
    declared = {type(task.examples) for task in declaration.TASKS.values()}
    assert {kind for kind in examples.KINDS.values() if hasattr(kind, "music")} <= declared


def test_task_works_with_seqios_evaluator(data_dir: Path):
    name = "pop909_infill"
    evaluator = seqio.Evaluator(
        name,
        feature_converter=seqio.EncDecFeatureConverter(pack=False),
        eval_split="validation",
        sequence_length=None,  # as long as the examples
    )
    truth = [example["targets"] for example in through_seqio(name, "validation")]

    def metric(answers: list[np.ndarray]) -> float:
        longest = max(map(len, answers))
        written = [(number, np.pad(answer, (0, longest - len(answer)))) for number, answer in enumerate(answers)]

        def predict(dataset, *args, **kwargs):
            assert len(list(dataset)) == len(truth)
            return written

        found, *_ = evaluator.evaluate(compute_metrics=True, step=0, predict_fn=predict, score_fn=None)
        [value] = found.result()[name].values()
        return float(value)

    assert metric(truth) == 100.0
    gap, *_ = default().encode("<extra_id_0>")
    assert 0 < metric([np.array([gap, 1], np.int32)] * len(truth)) < 5  # one word of each is right


def test_names_that_the_quickstart_and_run_files_use_are_there():
    for name in ("bach_chorales_continue", "bach_chorales_accompany", "classify_composer"):
        assert name in seqio.TaskRegistry.names()
    asked = get_task("bach_chorales_accompany").examples
    assert asked == examples.Accompany("chorale", "remi", ("soprano",), bars=6)
