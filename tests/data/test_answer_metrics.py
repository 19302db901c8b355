"""Classification metrics against scikit-learn, and baselines against their closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from t5music.data import answer_metrics
from t5music.evaluation import metrics

LABELS = ("bach", "dowland", "handel", "palestrina")


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_classification_metrics_are_scikit_learn_s(pairs):
    true, predicted = np.array(pairs).T
    ours = answer_metrics.classification_metrics(true, predicted, LABELS)
    np.testing.assert_allclose(ours["accuracy"], sklearn_metrics.accuracy_score(true, predicted))
    np.testing.assert_allclose(ours["macro_f1"], sklearn_metrics.f1_score(true, predicted, average="macro"))
    np.testing.assert_array_equal(ours["confusion"], sklearn_metrics.confusion_matrix(true, predicted, labels=range(4)))
    recall = sklearn_metrics.recall_score(true, predicted, average=None, labels=range(4), zero_division=np.nan)
    np.testing.assert_allclose(list(ours["recall"].values()), recall)
    assert (tuple(ours["recall"]), ours["examples"]) == (LABELS, len(pairs))


def test_no_examples_score_nothing():
    scores = answer_metrics.classification_metrics([], [], LABELS)
    assert math.isnan(scores["accuracy"])
    assert scores["examples"] == 0


def test_majority_answers_the_training_labels_most_frequent_class():
    assert metrics.majority_accuracy([2, 0, 2, 1], [2, 2, 1, 0]) == 0.5
    assert metrics.majority_accuracy([0, 1], [1, 1, 0]) == pytest.approx(1 / 3)


def test_bits_are_shared_among_notes_and_seconds():
    nats = 30 * math.log(256)  # 8 bits, 3 tokens a note
    assert metrics.bits_per_note(nats, notes=10) == pytest.approx(24.0)
    assert metrics.bits_per_second(nats, seconds=60.0) == pytest.approx(4.0)


def test_unigram_of_counts():
    # Smoothed by adding one: probabilities 1/2, 1/4, 1/8, 1/8, hence 1, 2, 3 and 3 bits.
    bits = metrics.unigram_nats([7, 3, 1, 1], [8, 4, 2, 2]) / math.log(2)
    assert bits == pytest.approx(8 + 8 + 6 + 6)


def test_unigram_of_equal_counts_is_uniform():
    counts = np.full(50, 9)
    assert metrics.unigram_nats(counts, counts) == pytest.approx(counts.sum() * math.log(50))


def test_without_music_nothing_is_shared():
    assert math.isnan(metrics.bits_per_note(10.0, 0))
    assert math.isnan(metrics.bits_per_second(10.0, 0))


def test_perplexity():
    assert metrics.perplexity(math.log(17)) == pytest.approx(17)
    assert metrics.perplexity(1e4) == math.inf


# --------------------------------------------------------------------------------------------------- labels of notes

ROLES = ("Role_melody", "Role_bridge", "Role_accompaniment")


@settings(deadline=None)
@given(
    st.lists(st.lists(st.tuples(st.sampled_from(ROLES), st.sampled_from(ROLES)), min_size=1), min_size=1, max_size=5)
)
def test_note_metrics_are_scikit_learn_s_over_all_notes(examples):
    targets = [" ".join(true for true, _ in example) for example in examples]
    predictions = [" ".join(given for _, given in example) for example in examples]
    true, answered = zip(*(pair for example in examples for pair in example), strict=True)
    accuracy = 100 * sklearn_metrics.accuracy_score(true, answered)
    f1 = 100 * sklearn_metrics.f1_score(true, answered, average="macro", labels=sorted({*true, *answered}))
    assert answer_metrics.note_accuracy(targets, predictions) == {"note_accuracy": pytest.approx(accuracy)}
    assert answer_metrics.note_macro_f1(targets, predictions) == {"note_macro_f1": pytest.approx(f1)}
    confusion = answer_metrics.note_classification(targets, predictions, ROLES)["confusion"]
    np.testing.assert_array_equal(confusion[:3, :3], sklearn_metrics.confusion_matrix(true, answered, labels=ROLES))
    assert not confusion[3].any()
    assert not confusion[:, 3].any()


def test_notes_without_an_answer_are_wrong():
    found = answer_metrics.note_classification(["a b a", "b"], ["a nonsense", "b b b"], ["a", "b"])
    assert found["confusion"].tolist() == [[1, 0, 1], [0, 1, 1], [0, 0, 0]]  # the last column: no answer
    assert found["accuracy"] == 0.5


# -------------------------------------------------------------------------------------------------------- free text

TARGETS = [
    "A slow waltz in G major, for violin and piano, with a sad mood.",
    "A fast rock song with drums, guitar and bass in E minor.",
]
ANSWERS = [
    "A slow waltz in D major for solo violin with a sad mood.",
    "A rock song with guitar, drums and bass, in the key of E minor!",
]


def test_words_keep_sharps_meters_and_numbers():
    found = answer_metrics.words_of("F# minor, 6/8 at 120.5 BPM: it's B-flat's time.")
    assert found == ["f#", "minor", "6/8", "at", "120.5", "bpm", "it", "s", "b", "flat", "s", "time"]


def test_bleu_and_rouge_are_those_of_sacrebleu_and_rouge_score():
    # sacrebleu 2.6.0 (tokenize='none', smooth_method='none') and rouge_score 0.1.2 on the words of these texts.
    assert answer_metrics.bleu(TARGETS, ANSWERS) == {"bleu": pytest.approx(31.39666848528029)}
    assert answer_metrics.rouge_l(TARGETS, ANSWERS) == {
        "rouge_l": pytest.approx(50 * (0.8148148148148148 + 0.7692307692307692))
    }


def test_bleu_of_the_same_text_and_of_another():
    assert answer_metrics.bleu(TARGETS, TARGETS) == {"bleu": pytest.approx(100.0)}
    assert answer_metrics.bleu(TARGETS, ["nothing", "at all"]) == {"bleu": 0.0}
    short = answer_metrics.bleu(["one two three four five six"], ["one two three four"])
    assert short == {"bleu": pytest.approx(100 * math.exp(1 - 6 / 4))}


@settings(deadline=None)
@given(st.lists(st.sampled_from("abc"), max_size=8), st.lists(st.sampled_from("abc"), max_size=8))
def test_rouge_l_is_the_longest_common_subsequence(one, two):
    longest = {(i, j): 0 for i in range(len(one) + 1) for j in range(len(two) + 1)}
    for i, a in enumerate(one, 1):
        for j, b in enumerate(two, 1):
            longest[i, j] = longest[i - 1, j - 1] + 1 if a == b else max(longest[i - 1, j], longest[i, j - 1])
    expected = 200 * longest[len(one), len(two)] / (len(one) + len(two)) if one or two else 100
    assert answer_metrics.rouge_l([" ".join(one)], [" ".join(two)]) == {"rouge_l": pytest.approx(expected)}


# --------------------------------------------------------------------------------------------------------------- ABC

SCALE = "X:1\nM:4/4\nL:1/8\nK:G\nGABc defg|"


def test_abc_answers_are_judged_by_their_pitches():
    same = "K:Em\nL:1/4\nG2 A2 | B c d e f g"  # other lengths and bars, the same pitches: the signature has F sharp
    flat = "K:C\nGABc defg"  # one of eight pitches is another
    assert answer_metrics.abc_pitch_accuracy([SCALE], [same]) == {"abc_pitch_accuracy": 100.0}
    assert answer_metrics.abc_pitch_accuracy([SCALE], [flat]) == {"abc_pitch_accuracy": 87.5}
    assert answer_metrics.abc_pitch_accuracy([SCALE, SCALE], [SCALE, "no tune"]) == {"abc_pitch_accuracy": 50.0}
    assert answer_metrics.abc_valid([SCALE] * 4, [SCALE, flat, "no tune", "K:C\n"]) == {"abc_valid": 50.0}


@settings(deadline=None)
@given(st.lists(st.integers(60, 64), max_size=9), st.lists(st.integers(60, 64), min_size=1, max_size=9))
def test_abc_pitch_accuracy_is_an_edit_distance(one, two):
    editdistance = pytest.importorskip("editdistance")
    texts = [
        "K:C\n" + "".join({60: "C", 61: "^C", 62: "D", 63: "^D", 64: "E"}[p] + "|" for p in row) for row in (one, two)
    ]
    expected = 100 * (1 - editdistance.eval(one, two) / max(len(one), len(two)))
    assert answer_metrics.abc_pitch_accuracy([texts[0]], [texts[1]])["abc_pitch_accuracy"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("target", "prediction", "chords", "roots"),
    [
        ("| C | Am F |", "| C | Am F |", 100, 100),
        ("| C | Am F |", "| C | A Dm |", 50, 75),
        ("| C | Am F |", "| C C | Am Am F F |", 100, 100),  # said otherwise, the same
        ("| C | Am F |", "| C", 50, 50),
        ("| C | Am F |", "| C | Am F | G | G |", 100, 100),
        ("| C | Am F |", "", 0, 0),
        ("| C E G |", "| C G |", 100 * 4 / 6, 100 * 4 / 6),
        ("| N.C. | Bb7 |", "| N.C. | B |", 50, 50),
    ],
)
def test_chords_agree_for_so_much_of_their_bars(target: str, prediction: str, chords: float, roots: float):
    assert answer_metrics.chord_accuracy([target], [prediction]) == {"chord_accuracy": pytest.approx(chords)}
    assert answer_metrics.chord_root_accuracy([target], [prediction]) == {"chord_root_accuracy": pytest.approx(roots)}


def test_every_bar_of_all_answers_counts_alike():
    scores = answer_metrics.chord_accuracy(["| C | C | C |", "| G |"], ["| C | C | C |", "| Am |"])
    assert scores == {"chord_accuracy": pytest.approx(75.0)}
    assert np.isnan(answer_metrics.chord_accuracy([], [])["chord_accuracy"])
