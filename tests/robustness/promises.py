"""Promises: samples of a model of random weights, each bound by one promise or two, read by another reader of MIDI.

    python tests/robustness/promises.py [--samples 1000] [--seed 0]

Every answer is put into a person's file as `t5music generate` does, and the file is read with mido alone
(`promise_reader`). Prints how many samples kept each promise, and every one that did not; ends with 1 if there is any.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "helpers"))

import tiny_models
from promise_reader import PROMISES, broken, notes_of

from t5music.data.examples import Continue
from t5music.inference import question, requests
from t5music.inference.answers import answer
from t5music.inference.promises import Promises
from t5music.music import midi

BAR, BARS = 1920, 4
SINGLE = [(promise,) for promise in PROMISES]
CASES = SINGLE + [pair for pair in itertools.combinations(PROMISES, 2) if pair[0][0] != pair[1][0]]


def sample(seed: int, case: tuple) -> list[str]:
    """The promises of a case that a sample breaks."""
    task = Continue("pop", "remi", words=300)
    trained = dataclasses.replace(tiny_models.trained({"continue": task}, seed=seed % 7), lengths=LENGTHS)
    score = midi.read(midi.to_bytes(tiny_models.band(seed % 11, bars=BARS)))
    data = midi.to_bytes(score)
    promises = Promises.from_text(**dict(case))
    programs = requests.programs(promises.instruments, task, score)
    music = answer(trained, task, score, "band", seed=seed, temperature=1.5, programs=programs, promises=promises)
    result = question.put_into_file(data, "band", score, music, task, programs)
    notes = notes_of(result.data)
    song = {"violin": [note for note in notes_of(data, is_new=False) if note.program == 40]}
    return [f"--{name} {text}" for name, text in case if broken(name, text, notes, BARS * BAR, BAR, song)]


LENGTHS = {"inputs": 512, "targets": 160}


def main() -> int:
    """Runs the samples."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    held: Counter[str] = Counter()
    failures = 0
    for number in range(arguments.samples):
        case = CASES[number % len(CASES)]
        wrong = sample(arguments.seed + number, case)
        failures += bool(wrong)
        for name, text in case:
            held[f"--{name} {text}"] += f"--{name} {text}" not in wrong
        if wrong:
            print(f"sample {number}: {case} broke {wrong}")
    for promise, count in held.items():
        print(f"{count:6} kept {promise}")
    print(f"{failures} of {arguments.samples} samples broke a promise")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
