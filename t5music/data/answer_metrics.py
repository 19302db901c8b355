"""Answer metrics: accuracy, F1, BLEU, ROUGE-L, those of ABC and of chords, for seqio's tasks and our evaluation."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from t5music.data import own_kinds
from t5music.errors import MidiError
from t5music.music import abc_notation, chord_recognition

NO_ANSWER = ""  # the class of notes that got none of the answers there are
_ROOT = re.compile("[A-G][#b]?")
_WORD = re.compile(r"[^\W_]+(?:[#/.][^\W_]+)*#?")


def classification_metrics(true: ArrayLike, predicted: ArrayLike, labels: Sequence[str]) -> dict[str, Any]:
    """Scores predictions of one label per example.

    Args:
        true: int [examples], indices into `labels`.
        predicted: int [examples], likewise.
        labels: the label set.

    Returns:
        "accuracy", in [0, 1];
        "macro_f1": F1 averaged over the classes that occur in `true` or `predicted`, as scikit-learn's default;
        "recall": label -> share of its examples found, nan for a label without examples;
        "confusion": int [labels, labels], rows true, columns predicted;
        "examples".
    """
    true, predicted = np.asarray(true, np.int64), np.asarray(predicted, np.int64)
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(confusion, (true, predicted), 1)
    hits, of_class, answered = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    occurs = of_class + answered > 0
    f1 = 2.0 * hits[occurs] / (of_class + answered)[occurs]  # never undefined where a class occurs at all
    recall = np.divide(hits, of_class, out=np.full(len(labels), np.nan), where=of_class > 0)
    return {
        "accuracy": float(hits.sum() / true.size) if true.size else math.nan,
        "macro_f1": float(f1.mean()) if true.size else math.nan,
        "recall": dict(zip(labels, recall.tolist(), strict=True)),
        "confusion": confusion,
        "examples": int(true.size),
    }


# ------------------------------------------------------------------------- seqio's metric functions, of answers in text


def _classes(targets: Sequence[str], predictions: Sequence[str]) -> dict[str, Any]:
    labels = sorted(set(targets) | set(predictions))
    index = {label: number for number, label in enumerate(labels)}
    return classification_metrics([index[t] for t in targets], [index[p] for p in predictions], labels)


def accuracy(targets: Sequence[str], predictions: Sequence[str]) -> dict[str, float]:
    """Share of answers that equal the target, in per cent as seqio's tasks report it."""
    return {"accuracy": 100.0 * _classes(targets, predictions)["accuracy"]}


def macro_f1(targets: Sequence[str], predictions: Sequence[str]) -> dict[str, float]:
    """F1 averaged over the classes that occur in targets or predictions, in per cent."""
    return {"macro_f1": 100.0 * _classes(targets, predictions)["macro_f1"]}


def word_accuracy(targets: Sequence[str], predictions: Sequence[str]) -> dict[str, float]:
    """Share of the targets' words found at the same place of the prediction, in per cent."""
    hits = words = 0
    for target, prediction in zip(targets, predictions, strict=True):
        expected = target.split()
        hits += sum(a == b for a, b in zip(expected, prediction.split(), strict=False))
        words += len(expected)
    return {"word_accuracy": 100.0 * hits / words if words else math.nan}


# --------------------------------------------------------------------------------------------------- labels of notes


def note_classification(targets: Sequence[str], predictions: Sequence[str], labels: Sequence[str]) -> dict[str, Any]:
    """Scores answers of one word per note, all notes of all examples together, as `classification_metrics` does.

    A note without an answer, or with a word that is none of `labels`, is of one more class, NO_ANSWER, which is the
    last row and column of "confusion". Words beyond the last note are passed over.
    """
    labels = (*labels, NO_ANSWER)
    index = {label: number for number, label in enumerate(labels)}
    true, predicted = [], []
    for target, prediction in zip(targets, predictions, strict=True):
        words = target.split()
        answers = prediction.split()[: len(words)]
        true += [index[word] for word in words]
        predicted += [index.get(word, index[NO_ANSWER]) for word in answers]
        predicted += [index[NO_ANSWER]] * (len(words) - len(answers))
    return classification_metrics(true, predicted, labels)


def _of_notes(targets: Sequence[str], predictions: Sequence[str]) -> dict[str, Any]:
    words = {word for text in (*targets, *predictions) for word in text.split()}
    return note_classification(targets, predictions, sorted(words))


def note_accuracy(targets: Sequence[str], predictions: Sequence[str]) -> dict[str, float]:
    """Share of all notes whose answer word is right, in per cent; a note without an answer is wrong."""
    return {"note_accuracy": 100.0 * _of_notes(targets, predictions)["accuracy"]}


def note_macro_f1(targets: Sequence[str], predictions: Sequence[str]) -> dict[str, float]:
    """F1 of the notes averaged over the classes, in per cent; missing answers, where there are any, are a class."""
    return {"note_macro_f1": 100.0 * _of_notes(targets, predictions)["macro_f1"]}


# -------------------------------------------------------------------------------------------------------- free text


def words_of(text: str) -> list[str]:
    """The words of a text for comparing it with another: lower case, numbers whole, no punctuation but # and /.

    So 'the key of F# minor, in 6/8' gives 'the', 'key', 'of', 'f#', 'minor', 'in', '6/8'.
    """
    return _WORD.findall(text.lower())


def bleu(targets: Sequence[str], predictions: Sequence[str]) -> dict[str, float]:
    """Corpus BLEU-4 with one reference each (Papineni et al., ACL 2002), on `words_of`, 0 to 100.

    The geometric mean of the shares of the predictions' 1- to 4-grams that are found in their targets, times
    exp(1 - target words / predicted words) where the predictions are shorter. 0 where one of the shares is.
    """
    matches, candidates = np.zeros(4), np.zeros(4)
    target_words, predicted_words = 0, 0
    for target, prediction in zip(targets, predictions, strict=True):
        true, answer = words_of(target), words_of(prediction)
        target_words, predicted_words = target_words + len(true), predicted_words + len(answer)
        for n in range(1, 5):
            predicted_grams, target_grams = _grams(answer, n), _grams(true, n)
            matches[n - 1] += (predicted_grams & target_grams).total()
            candidates[n - 1] += predicted_grams.total()
    if not matches.all():
        return {"bleu": 0.0}
    brevity = min(0.0, 1.0 - target_words / predicted_words)
    return {"bleu": 100.0 * math.exp(brevity + float(np.log(matches / candidates).mean()))}


def rouge_l(targets: Sequence[str], predictions: Sequence[str]) -> dict[str, float]:
    """ROUGE-L F1 (Lin, 2004), on `words_of`, averaged over the examples, 0 to 100.

    The longest common subsequence of words as a share of the target (recall) and of the prediction (precision).
    """
    scores = []
    for target, prediction in zip(targets, predictions, strict=True):
        true, predicted = words_of(target), words_of(prediction)
        # Words are put in and taken out only, so those that stay are a longest common subsequence.
        common = (len(true) + len(predicted) - _edits(true, predicted, exchange=2)) // 2
        scores.append(2.0 * common / (len(true) + len(predicted)) if true or predicted else 1.0)
    return {"rouge_l": 100.0 * float(np.mean(scores)) if scores else math.nan}


def abc_valid(targets: Sequence[str], predictions: Sequence[str]) -> dict[str, float]:
    """Share of the answers that can be read as ABC and have a note, in per cent."""
    read = [bool(_abc_pitches(prediction)) for prediction in predictions]
    return {"abc_valid": 100.0 * float(np.mean(read)) if read else math.nan}


def abc_pitch_accuracy(targets: Sequence[str], predictions: Sequence[str]) -> dict[str, float]:
    """How many notes of the ABC have the right pitch, in order, in per cent; the mean over the examples.

    1 - edit distance / length of the longer one, of the pitches of target and answer; 0 for an unreadable answer.
    """
    scores = []
    for target, prediction in zip(targets, predictions, strict=True):
        true, predicted = _abc_pitches(target), _abc_pitches(prediction)
        scores.append(1.0 - _edits(true, predicted) / max(len(true), len(predicted), 1) if predicted else 0.0)
    return {"abc_pitch_accuracy": 100.0 * float(np.mean(scores)) if scores else math.nan}


# ------------------------------------------------------------------------------------------------------------ chords


def chord_accuracy(targets: Sequence[str], predictions: Sequence[str]) -> dict[str, float]:
    """For how much of the targets' bars the answers have the same chord, in per cent; see `_chord_agreement`."""
    return {"chord_accuracy": _chord_agreement(targets, predictions, str.strip)}


def chord_root_accuracy(targets: Sequence[str], predictions: Sequence[str]) -> dict[str, float]:
    """For how much of the targets' bars the answers have a chord on the same root, in per cent."""
    return {"chord_root_accuracy": _chord_agreement(targets, predictions, _root)}


def _chord_agreement(targets: Sequence[str], predictions: Sequence[str], what: Callable[[str], str]) -> float:
    """The share of all bars of `| Am | Dm E7 |` in which `what` of the chords is the same, each bar counting alike.

    The chords of a bar share it equally. A bar that an answer lacks is wrong; one more than the target has does not
    count.
    """
    shares = []
    for target, prediction in zip(targets, predictions, strict=True):
        answers = chord_recognition.bars_of(prediction)
        for number, bar in enumerate(chord_recognition.bars_of(target)):
            answer = answers[number] if number < len(answers) else ()
            parts = math.lcm(len(bar), len(answer))  # 0 where one has no chord
            same = (
                what(bar[part * len(bar) // parts]) == what(answer[part * len(answer) // parts])
                for part in range(parts)
            )
            shares.append(sum(same) / parts if parts else float(len(bar) == len(answer)))
    return 100.0 * float(np.mean(shares)) if shares else math.nan


def _root(symbol: str) -> str:
    """The root of a chord symbol; the symbol itself where it has none, as 'N.C.'."""
    match = _ROOT.match(symbol)
    return match[0] if match else symbol


Metric = Callable[[Sequence[str], Sequence[str]], dict[str, float]]
METRICS: dict[str, Metric] = {
    metric.__name__: metric
    for metric in (
        *(accuracy, macro_f1, word_accuracy, note_accuracy, note_macro_f1, bleu, rouge_l),
        *(abc_valid, abc_pitch_accuracy, chord_accuracy, chord_root_accuracy),
    )
}


def register(metric: Metric) -> Metric:
    """Makes a metric of one's own known by its function's name, as a decorator.

    It has seqio's signature: (targets, predictions), two lists of texts in the same order, to {figure: number}. Tasks
    name it among the `metrics` of their examples; it is measured by seqio's Evaluator and by `t5music eval`.

    Raises ConfigError where the name is taken.
    """
    return own_kinds.register(METRICS, metric.__name__, metric)


def get(name: str, module: str | None = None) -> Metric:
    """The metric of a name.

    Raises DataError for an unknown one; where the module that declares it is given, the message says to import it.
    """
    return own_kinds.look_up(METRICS, name, "metric", module)


def modules(names: Iterable[str]) -> dict[str, str]:
    """Name -> module of those registered metrics that are declared outside of t5music."""
    origins = {name: own_kinds.origin(METRICS[name]) for name in names if name in METRICS}
    return {name: origin[own_kinds.MODULE] for name, origin in origins.items() if origin}


def _abc_pitches(text: str) -> list[tuple[int, ...]]:
    try:
        return abc_notation.parse(text).pitches
    except MidiError:
        return []


def _grams(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(words[start:] for start in range(n)), strict=False))


def _edits(one: Sequence[Any], two: Sequence[Any], exchange: int = 1) -> int:
    """Edit distance: the least cost of turning one sequence into the other (put in, take out: 1; exchange as given)."""
    index = {symbol: number for number, symbol in enumerate(dict.fromkeys([*one, *two]))}
    one_ids = np.array([index[symbol] for symbol in one], np.int64)
    two_ids = np.array([index[symbol] for symbol in two], np.int64)
    ramp = np.arange(len(two_ids) + 1)
    row = ramp.copy()
    for symbol in one_ids:
        best = np.append(row[0] + 1, np.minimum(row[1:] + 1, row[:-1] + exchange * (two_ids != symbol)))
        row = np.minimum.accumulate(best - ramp) + ramp  # putting in: from the left, one more each
    return int(row[-1])
