"""Real files come back whole from every task that extends them: mido finds the person's events in the result."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import mido_files
import numpy as np
import pytest

from t5music.data.examples import Accompany, Composes, Continue, Infill
from t5music.errors import MidiError
from t5music.inference import placement
from t5music.music import encodings, midi
from t5music.music.midi.insertion import insert

TASKS: tuple[Composes, ...] = (
    Continue("pop", "remi"),
    Infill("pop", "remi"),
    Accompany("pop", "remi", ()),
    Continue("piano", "performance"),
    Infill("piano", "performance"),
)


def added_to(path: Path, task: Composes, seed: int) -> str:
    """What came of one file: random words are put into it as a model's answer."""
    data = path.read_bytes()
    try:
        score, before = midi.read(data), mido_files.events(data)
        prompts = task.prompts(score)
    except MidiError:
        return "refused"
    except Exception:  # mido cannot read it, so it cannot be compared
        return "not compared"
    encoding, rng = encodings.get(task.encoding), np.random.default_rng(seed)
    answers = [rng.choice(len(encoding.words), 200).astype(np.int32) for _ in prompts]
    placed = placement.place(score, task.music(score, answers), encoding)
    inserted = insert(data, placed.notes, label="t5music", removal=placed.removal, name=path.name)
    after = mido_files.events(inserted.data)
    rewritten = any("not as the standard has it" in remark or "of type 2" in remark for remark in inserted.remarks)
    lost: Counter[tuple[int, str]] = Counter()
    for old, new in zip(before, after[: len(before)], strict=True):
        if not rewritten:
            assert not new - old, path
        lost += old - new
    if not rewritten:
        onsets = [tick for tick, message in lost.elements() if is_onset(message)]
        others = [message for _, message in lost.elements() if not message.startswith(("note_on", "note_off"))]
        assert not others, (path, others[:3])
        if placed.removal is None:
            assert not lost, (path, list(lost)[:3])
        else:
            assert all(placed.removal.first <= tick < placed.removal.last for tick in onsets), path
    if not midi.read_mended(data).mended:
        assert midi.read_mended(inserted.data).mended == (), path
    return "written anew" if rewritten else "whole"


def is_onset(message: str) -> bool:
    return message.startswith("note_on") and "velocity=0 " not in message


@pytest.mark.data
def test_the_persons_events_stay(real_music):
    paths = [path for path in sorted(real_music("nes_nsf2midi").rglob("*.mid")) if path.stat().st_size < 60_000]
    outcomes = Counter(
        added_to(path, task, number) for number, path in enumerate(paths[::40]) for task in TASKS[number % 2 :: 2]
    )
    assert outcomes["whole"] > 5
