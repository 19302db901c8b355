"""Listening statistics: what a listening test's answers say, by question and by pair of systems.

Answers of one listener are not independent of each other, nor are those to one piece. So tests are over listeners, each
with the mean of his or her answers: the sign test, and Wilcoxon's signed ranks, of which zeros take part (Pratt 1959).
Intervals resample listeners and pieces at once. Strengths are Bradley and Terry's (1952): by how many nats the odds of
being preferred rise; "no difference" is half an answer for each, and each pair of systems is given one further answer,
half for each, so that strengths stay finite.
"""

from __future__ import annotations

import dataclasses
import itertools
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from t5music.comparison import resampling
from t5music.comparison.listening_answers import Answers
from t5music.comparison.listening_test import Key
from t5music.comparison.resampling import FEWEST, Interval
from t5music.studies.report.statistics import SIGNIFICANT, holm

PRIOR = 0.5  # answers for each system of a pair that nobody gave
ROUNDS = 500  # of the fit at most; systems are few, and it settles within some dozens
SETTLED = 1e-9  # relative change of the odds


@dataclass(frozen=True)
class Preference:
    """How two systems compare in one question.

    Attributes:
        question: the question.
        systems: both, the one that is first in the key first.
        shares: of answers for the first, for neither, for the second.
        grade: the mean answer, from -2, the first clearly, to 2, the second clearly.
        interval: of the grade, over listeners and pieces; None of fewer than FEWEST listeners or pieces.
        sign_p: p of the sign test over listeners; None of fewer than FEWEST listeners.
        wilcoxon_p: p of Wilcoxon's test over listeners; likewise.
        corrected: wilcoxon_p after Holm's correction over all rows.
    """

    question: str
    systems: tuple[str, str]
    shares: tuple[float, float, float]
    grade: float
    interval: Interval | None
    sign_p: float | None
    wilcoxon_p: float | None
    corrected: float | None = None

    @property
    def is_significant(self) -> bool:
        """Whether it gets a star."""
        return self.corrected is not None and self.corrected < SIGNIFICANT


@dataclass(frozen=True)
class Strength:
    """A system's strength in one question, in nats above the mean of all systems."""

    question: str
    system: str
    strength: float
    interval: Interval | None


@dataclass(frozen=True)
class Results:
    """What the answers say.

    Attributes:
        preferences: for each question, any two systems.
        strengths: for each question, each system.
        second_share: of the answers that prefer one of the two, the share for what stood second: 0.5 without a bias.
        listeners: how many there were.
        pairs: how many pairs each heard.
    """

    preferences: list[Preference]
    strengths: list[Strength]
    second_share: float | None
    listeners: int
    pairs: int


def results(answers: Answers, key: Key, seed: int = 0) -> Results:
    """The statistics of all answers; the seed is that of the intervals."""
    rng = np.random.default_rng(seed)
    listeners = len(answers.listeners)
    systems = [tuple(sorted(clip.system for clip in pair)) for pair in key.pairs]
    of_couple = {
        couple: np.array([place for place, pair in enumerate(systems) if pair == couple], np.int64)
        for couple in itertools.combinations(range(len(key.systems)), 2)
    }
    of_couple = {couple: places for couple, places in of_couple.items() if len(places)}
    enough = min(listeners, *map(len, of_couple.values())) >= FEWEST
    listener_draws = resampling.draws(listeners, rng) if enough else None
    piece_draws = {couple: resampling.draws(len(places), rng) for couple, places in of_couple.items()}
    preferences, strengths = [], []
    for number, question in enumerate(key.questions):
        wins = np.zeros((resampling.RESAMPLES if enough else 0, len(key.systems), len(key.systems)))
        all_wins = np.zeros((1, len(key.systems), len(key.systems)))
        for (one, other), places in of_couple.items():
            grades = answers.grades[:, places, number]  # [listeners, pieces]
            second = (np.sign(grades) + 1) / 2  # 1 for the second, 1/2 for neither
            all_wins[0, other, one], all_wins[0, one, other] = second.sum(), (1 - second).sum()
            within = None
            if listener_draws is not None:
                weights = piece_draws[one, other]
                within = resampling.interval(_crossed(grades, listener_draws, weights) / grades.size)
                wins[:, other, one] = _crossed(second, listener_draws, weights)
                wins[:, one, other] = second.size - wins[:, other, one]
            shares = tuple(float(np.mean(np.sign(grades) == side)) for side in (-1, 0, 1))
            names = (key.systems[one], key.systems[other])
            tests = _tests(grades.mean(axis=1)) if listeners >= FEWEST else (None, None)
            preferences.append(Preference(question, names, shares, float(grades.mean()), within, *tests))  # type: ignore[arg-type]
        whole, resampled = bradley_terry(all_wins)[0], bradley_terry(wins) if enough else None
        for place, system in enumerate(key.systems):
            within = None if resampled is None else resampling.interval(resampled[:, place])
            strengths.append(Strength(question, system, float(whole[place]), within))
    decided = answers.second[answers.second != 0]
    share = float(np.mean(decided > 0)) if len(decided) else None
    return Results(_corrected(preferences), strengths, share, listeners, len(key.pairs))


def _crossed(
    values: NDArray[np.float64], listener_draws: NDArray[np.float64], piece_draws: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The sums of values [listeners, pieces] in each resample of both, [resamples]."""
    return ((listener_draws @ values) * piece_draws).sum(axis=1)


def _tests(means: NDArray[np.float64]) -> tuple[float, float]:
    """(p of the sign test, p of Wilcoxon's) of the listeners' means; 1 where none differs from 0."""
    from scipy import stats  # takes a second to import

    decided = means[means != 0]
    if not len(decided):
        return 1.0, 1.0
    sign = stats.binomtest(int(np.count_nonzero(decided > 0)), len(decided)).pvalue
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the exact distribution is not used where there are ties
        wilcoxon = stats.wilcoxon(means, zero_method="pratt").pvalue
    return float(sign), float(wilcoxon)


def _corrected(preferences: list[Preference]) -> list[Preference]:
    """The same with Holm's correction of Wilcoxon's p values, over all questions and pairs of systems."""
    corrected = holm({str(number): preference.wilcoxon_p for number, preference in enumerate(preferences)})
    return [dataclasses.replace(row, corrected=corrected[str(number)]) for number, row in enumerate(preferences)]


def bradley_terry(wins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bradley and Terry's strengths, float64 [rows, systems], each row of mean 0.

    Args:
        wins: how often a system was preferred to another, [rows, systems, systems]; PRIOR is added where two were
            compared at all. By Hunter's MM (2004).
    """
    compared = wins + wins.swapaxes(1, 2) > 0
    wins = wins + PRIOR * compared
    games, total = wins + wins.swapaxes(1, 2), wins.sum(axis=2)
    odds = np.ones(total.shape)
    for _ in range(ROUNDS):
        former = odds
        odds = total / (games / (odds[:, :, None] + odds[:, None, :])).sum(axis=2)
        odds /= np.exp(np.log(odds).mean(axis=1, keepdims=True))
        if np.abs(odds / former - 1).max(initial=0) < SETTLED:
            break
    return np.log(odds)
