"""Listening answers: the files that listeners saved, read and checked against the test's key.

Files that are damaged, of another test, incomplete, or of a listener who is there already are named and left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from t5music import json_files
from t5music.comparison.listening_test import KEY_ENDING, Key
from t5music.corpora.listing import list_files, relative_id
from t5music.errors import DataError
from t5music.inference.left_out import LeftOut

FORMAT = "t5music listening answers"
STRONGEST = 2  # answers go from -STRONGEST, the first clearly, to STRONGEST, the second clearly


@dataclass(frozen=True)
class PairAnswer:
    """A listener's answer to one question of one pair.

    Attributes:
        pair: the place of the pair in the key.
        question: the place of the question.
        first: the clip that stood first.
        second: the other one.
        answer: from -2, the first clearly, to 2, the second clearly.
        heard: seconds of each that were heard.
    """

    pair: int
    question: int
    first: str
    second: str
    answer: int
    heard: tuple[float, float]


@dataclass(frozen=True)
class ListenerAnswers:
    """The file of a listener.

    Attributes:
        format: FORMAT.
        test: the test's identifier.
        listener: drawn by the page, another for every listener.
        seed: of the order and the sides.
        name: what the listener wants to be called; may be empty.
        started: when, in UTC (ISO 8601).
        finished: likewise; None where the last pair was not reached.
        answers: one for each pair and question.
    """

    format: str
    test: str
    listener: str
    seed: int
    name: str
    started: str
    finished: str | None
    answers: tuple[PairAnswer, ...]


@dataclass(frozen=True)
class Answers:
    """The answers of all listeners.

    Attributes:
        listeners: file names.
        grades: [listeners, pairs, questions], -2 to 2, above 0 for the system that is later in the key; a pair's first
            system is the earlier one.
        second: [listeners, pairs, questions], the answers as they were given: above 0 for what stood second.
        left_out: file -> why.
    """

    listeners: tuple[str, ...]
    grades: NDArray[np.float64]
    second: NDArray[np.float64]
    left_out: dict[str, str]


def read(folder: Path, key: Key) -> Answers:
    """Reads all .json files below a folder but for keys.

    Raises:
        DataError: no file of answers that can be used.
    """
    listing = list_files(folder, (".json",))
    paths = [path for path in listing.files if not path.name.endswith(KEY_ENDING)]
    if not paths:
        raise DataError(f"--answers {folder}: no .json files in it")
    left_out = LeftOut(len(paths), folder)
    first_files: dict[str, str] = {}  # listener -> file
    arrays = []
    for path in paths:
        name = relative_id(path, folder)
        try:
            listener = _parsed(path)
            grades = _checked(listener, key)
            if listener.listener in first_files:
                raise ValueError(f"doubled: {first_files[listener.listener]} is of the same listener")
        except (OSError, ValueError) as error:
            left_out.add(name, getattr(error, "strerror", None) or str(error))
            continue
        first_files[listener.listener] = name
        arrays.append(grades)
    left_out.check()
    left_out.count()
    grades, second = np.array(arrays).swapaxes(0, 1)
    return Answers(tuple(first_files.values()), grades, second, left_out.reasons)


def _parsed(path: Path) -> ListenerAnswers:
    """Reads a file of answers.

    Raises:
        OSError, ValueError: it is none, or is damaged.
    """
    try:
        content = json_files.read_json(path)
    except ValueError as error:
        raise ValueError(f"damaged: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError("foreign: it holds no answers of a listening test")
    try:
        return json_files.parse(ListenerAnswers, content, complete=True)
    except ValueError as error:
        raise ValueError(f"damaged: {error}") from error


def _checked(listener: ListenerAnswers, key: Key) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns (grades, answers as they stand in the file), [pairs, questions] each.

    Raises:
        ValueError: answers that do not fit the key.
    """
    if listener.test != key.test:
        raise ValueError(f"foreign: of the test {listener.test}, and the key is of {key.test}")
    shape = (len(key.pairs), len(key.questions))
    grades, second = np.full(shape, np.nan), np.full(shape, np.nan)
    for number, answer in enumerate(listener.answers):
        place = (answer.pair, answer.question)
        if not (0 <= answer.pair < shape[0] and 0 <= answer.question < shape[1]):
            raise ValueError(f"damaged: answers[{number}] is of a pair or question that the test does not have")
        pair = key.pairs[answer.pair]
        if {answer.first, answer.second} != {clip.clip for clip in pair} or answer.first == answer.second:
            raise ValueError(f"damaged: answers[{number}] names clips that are not those of its pair")
        if abs(answer.answer) > STRONGEST:
            raise ValueError(f"damaged: answers[{number}].answer must be from -2 to 2, not {answer.answer}")
        if not np.isnan(grades[place]):
            raise ValueError(f"damaged: pair {answer.pair} has two answers to question {answer.question}")
        systems = {clip.clip: clip.system for clip in pair}
        is_later = systems[answer.second] > systems[answer.first]
        second[place] = answer.answer
        grades[place] = answer.answer if is_later else -answer.answer
    missing = int(np.isnan(grades).sum())
    if missing:
        raise ValueError(f"incomplete: {missing} of {grades.size} answers are missing")
    return grades, second
