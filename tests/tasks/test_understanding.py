"""The declared tasks of understanding: what they ask and answer, as stores, and under seqio's Evaluator."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from t5music.corpora.base import Corpus, Entry, Piece
from t5music.data import answer_metrics, examples, objectives
from t5music.data.vocabulary import DYNAMICS, ROLES, default
from t5music.evaluation.label_scores import NoteJudge
from t5music.music import abc_notation
from t5music.music.keys import KEYS
from t5music.music.score import KEY, METER, NOTE, Score

seqio = pytest.importorskip("seqio")

import tiny_corpora  # noqa: E402

import t5music.tasks.mixtures  # noqa: E402, F401  (registers everything with seqio)
from t5music.corpora import build  # noqa: E402
from t5music.data import declaration  # noqa: E402
from t5music.data.compilation import compile_task as compiling  # noqa: E402
from t5music.data.declaration import get_task  # noqa: E402
from t5music.tasks import understanding  # noqa: E402

LENGTHS = {"inputs": 512, "targets": 512}
PIECES = 10
BAR = 4 * 480
ROLE_TRACKS = ("MELODY", "BRIDGE", "PIANO")
TRACKS = {"pop909": ROLE_TRACKS, "pop909_aligned": ROLE_TRACKS, "nottingham": ("melody", "chords")}
LABELS = {
    "maestro": {"composer": ("Frédéric Chopin", "Franz Liszt", "Somebody Else")},
    "midicaps": {"caption": ("A slow song in A minor.", "A fast song in 4/4.")},
    "nottingham": {"key": ("D major", "E minor"), "abc": ("",)},
    "pop909": {"key": ("Bb major",)},
    "pop909_aligned": {},
    "pianist8": {"composer": ("Bethel", "Yiruma")},
    "emopia_clips": {"emotion": ("Q1", "Q4")},
}
ROLE_OF_EACH, DYNAMIC_OF_EACH = (rf"(Pitch_\d+ ({'|'.join(labels)})( |$))+" for labels in (ROLES, DYNAMICS))
# Task -> how every input begins, and a pattern that every target matches.
TASKS = {
    "maestro_composer": ("classify composer: Bar TimeSig_4/4 ", "Frédéric Chopin|Franz Liszt"),
    "midicaps_caption": ("caption: Bar TimeSig_4/4 ", r"A slow song in A minor\.|A fast song in 4/4\."),
    "nottingham_key": ("classify key: Bar TimeSig_4/4 ", "|".join(KEYS)),
    "nottingham_chords": (
        "chords folk: Bar TimeSig_4/4 ",
        r"(\| ([A-G][b#]?(m|dim|7)?|N\.C\.)( ([A-G][b#]?(m|dim|7)?|N\.C\.))* )+\|",
    ),
    "ryans_mammoth_key": ("classify key: Bar TimeSig_4/4 ", ".* minor"),
    "nottingham_meter": ("classify meter: Bar TimeSig_12/4 Pos_0 Tempo_120 ", "4/4"),
    "style": ("classify style: Bar TimeSig_12/4 Pos_0 Tempo_120 ", "chorale|classical|folk|game|jazz|madrigal|pop"),
    "pop909_melody": ("extract melody: Bar TimeSig_4/4 Pos_0 Tempo_120 Pitch_", ROLE_OF_EACH),
    "pop909_velocity": ("predict velocity: Bar TimeSig_4/4 Pos_0 Tempo_120 Pitch_", DYNAMIC_OF_EACH),
    "small_composer": ("classify composer: Bar TimeSig_4/4 Pos_0 Tempo_120 Pitch_", "Bethel|Yiruma"),
    "small_emotion": ("classify emotion: Bar TimeSig_4/4 Pos_0 Tempo_120 Pitch_", "Q1|Q4"),
    "midibert_melody": ("extract melody: Bar TimeSig_4/4 Pos_0 Tempo_120 Pitch_", ROLE_OF_EACH),
    "small_velocity": ("predict velocity: Bar TimeSig_4/4 Pos_0 Tempo_120 Pitch_", DYNAMIC_OF_EACH),
    "nottingham_transcribe_abc": ("transcribe abc: Bar TimeSig_4/4 ", r"X:1\nM:4/4\nL:1/8\nK:C\n[^\n]*\|\|"),
    "ryans_mammoth_transcribe_abc": ("transcribe abc: Bar TimeSig_4/4 ", r"X:1\nM:4/4\nL:1/8\nK:Am\n[^\n]*\|\|"),
    "nottingham_abc_to_music": ("abc to music: X:1\nM:4/4\n", "Bar TimeSig_4/4 Pos_0 Tempo_120 Program_0 .*"),
}


def score_of(number: int, tracks: tuple[str, ...]) -> Score:
    """Eight bars in A minor: quarters in the first track, a whole note a bar in the others."""
    rng = np.random.default_rng(number)
    notes = [(n * 480, 480, 60 + int(rng.integers(20)), 1 + int(rng.integers(127)), 0, 0) for n in range(32)]
    notes[-1] = (*notes[-1][:2], 69, *notes[-1][3:])  # it ends on A
    for track in range(1, len(tracks)):
        notes += [(bar * BAR, BAR, 36 + 12 * track + bar, 30 * track, 0, track) for bar in range(8)]
    meters, keys = np.array([(0, 4, 4)], METER), np.array([(0, 0, True)], KEY)
    return Score(480, np.array(notes, NOTE), meters=meters, keys=keys, track_names=tracks)


def read(entry: Entry, name: str) -> Iterator[Piece]:
    number = entry.more["number"]
    score = score_of(number, TRACKS.get(name, ("melody",)))
    labels = {label: values[number % len(values)] for label, values in LABELS.get(name, {}).items()}
    if name == "nottingham":
        melody = score_of(number, ("melody",))
        labels["abc"] = abc_notation.from_score(
            Score(480, melody.notes, meters=melody.meters), f"No. {number}"
        ).to_text()
    yield Piece(entry.id, score, labels)


def entries(root: Path, first: int) -> list[Entry]:
    return [Entry(f"{n:04}", root, more={"number": n}) for n in range(first, first + PIECES)]


def corpus(name: str, first: int) -> Corpus:
    labels = dict.fromkeys(LABELS.get(name, {}), ())
    return Corpus(
        name, "t", "free", "here", "", partial(entries, first=first), partial(read, name=name), labels=labels
    )  # fmt: skip


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Tiny corpora under the names of real ones."""
    folder = tmp_path_factory.mktemp("data")
    for number, name in enumerate(sorted({*understanding.STYLES, *LABELS})):
        build.build(corpus(name, 1000 * number), folder, folder, workers=1, progress=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("T5MUSIC_DATA", str(folder))
        yield folder


through_seqio = partial(tiny_corpora.through_seqio, lengths=LENGTHS)


@pytest.mark.parametrize("name", TASKS)
def test_task_asks_and_answers(name: str, data_dir: Path):
    """Through seqio and through the store alike, and all of it within 512 tokens."""
    task, vocabulary = get_task(name), default()
    store = compiling.compile_task(task, data_dir, workers=1, progress=False)
    kind = task.examples
    assert store.kind == kind
    assert (
        list(store.manifest.metrics)
        == list(kind.metrics)
        == [function.__name__ for function in seqio.get_mixture_or_task(name).metric_fns]
    )
    question, answer = TASKS[name]
    stored, expected = store.split("train"), through_seqio(name)
    assert len(stored) == len(expected) > 0
    for index, example in enumerate(expected):
        given = objectives.apply(store.objectives, stored[index], np.random.default_rng(0), LENGTHS, vocabulary)
        for feature in LENGTHS:
            assert np.array_equal(example[feature], np.append(given[feature], 1))
            assert len(example[feature]) < 512
        assert vocabulary.decode(example["inputs"]).startswith(question)
        assert re.fullmatch(answer, vocabulary.decode(example["targets"]))


def test_a_store_of_another_declaration_does_not_fit(data_dir: Path):
    task = get_task("pop909_melody")
    path = compiling.compile_task(task, data_dir, workers=1, progress=False).path / "manifest.json"
    manifest = json.loads(path.read_text())
    assert compiling.compiled(task, data_dir) is not None
    path.write_text(json.dumps(manifest | {"examples": manifest["examples"] | {"notes": 9}}))
    assert compiling.compiled(task, data_dir) is None


def test_style_names_the_corpus_of_every_piece(data_dir: Path):
    vocabulary = default()
    answers = [vocabulary.decode(example["targets"]) for example in through_seqio("style")]
    assert set(answers) == set(understanding.STYLES.values())
    assert answers.count("folk") > answers.count("jazz")  # of two corpora


@cache
def evaluator_of(name: str) -> seqio.Evaluator:
    """seqio's Evaluator of a task's validation examples, which it reads when it is made."""
    return seqio.Evaluator(
        name,
        feature_converter=seqio.EncDecFeatureConverter(pack=False),
        eval_split="validation",
        sequence_length=None,  # as long as the examples
    )


def evaluated(name: str, written: list[str]) -> dict[str, float]:
    """What seqio's Evaluator says of answers in text to the validation examples."""
    rows = [np.append(default().encode(text), np.int32(1)) for text in written]
    longest = max(map(len, rows))
    answers = [(number, np.pad(row, (0, longest - len(row)))) for number, row in enumerate(rows)]
    scores, *_ = evaluator_of(name).evaluate(
        compute_metrics=True, step=0, predict_fn=lambda *a, **k: answers, score_fn=None
    )
    return {key: float(value) for key, value in scores.result()[name].items()}


def truths(name: str) -> list[str]:
    return [default().decode(example["targets"]) for example in through_seqio(name, "validation")]


def test_labels_of_pieces_under_seqio_s_evaluator(data_dir: Path):
    true = truths("nottingham_key")
    given = [label if number % 3 else "C major" for number, label in enumerate(true)]
    assert evaluated("nottingham_key", given) == {
        "accuracy": pytest.approx(100 * sklearn_metrics.accuracy_score(true, given)),
        "macro_f1": pytest.approx(100 * sklearn_metrics.f1_score(true, given, average="macro")),
    }


@pytest.mark.parametrize("name", ["pop909_melody", "small_velocity"])
def test_labels_of_notes_under_seqio_s_evaluator_and_ours(name: str, data_dir: Path):
    kind = get_task(name).examples
    echoed = [text.split() for text in truths(name)]
    rng = np.random.default_rng(0)
    answers = [rng.integers(0, len(kind.values), len(words) // 2) for words in echoed]
    given = [
        " ".join(f"{note} {kind.values[index]}" for note, index in zip(words[::2], answer, strict=True))
        for words, answer in zip(echoed, answers, strict=True)
    ]
    notes = [[word for words in texts for word in words[1::2]] for texts in (echoed, map(str.split, given))]
    found = evaluated(name, given)
    assert found == {
        "note_accuracy": pytest.approx(100 * sklearn_metrics.accuracy_score(*notes)),
        "note_macro_f1": pytest.approx(100 * sklearn_metrics.f1_score(*notes, average="macro")),
    }
    store = compiling.compile_task(get_task(name), data_dir, workers=1, progress=False)
    ours = NoteJudge(store, "validation", store.kind, default()).judge(range(len(echoed)), answers).metrics
    assert {metric: 100 * ours[metric] for metric in found} == pytest.approx(found)


@pytest.mark.parametrize("name", ["nottingham_transcribe_abc", "nottingham_abc_to_music", "midicaps_caption"])
def test_texts_under_seqio_s_evaluator(name: str, data_dir: Path):
    true = truths(name)
    perfect = evaluated(name, true)
    assert perfect == dict.fromkeys(perfect, pytest.approx(100.0))
    half = [text[: len(text) // 2] for text in true]
    expected = {}
    for function in seqio.get_mixture_or_task(name).metric_fns:
        expected |= getattr(answer_metrics, function.__name__)(true, half)
    assert evaluated(name, half) == pytest.approx(expected)
    assert min(expected.values()) < 100


def test_every_kind_of_understanding_is_the_kind_of_some_task():
    declared = {type(task.examples) for task in declaration.TASKS.values()}
    kinds = (
        examples.Classify,
        examples.ClassifyKey,
        examples.ClassifyMeter,
        examples.ClassifyPrintedKey,
        examples.ClassifyStyle,
        examples.LabelNotes,
        examples.Caption,
        examples.TranscribeAbc,
        examples.PlayAbc,
        examples.NameChords,
    )
    assert set(kinds) <= declared
