"""A vocabulary of 128 ids whose words make notes (a bar, positions, pitches, durations), and rows of them."""

import os
import signal

import numpy as np

from t5music.training.note_masking.masker import Task
from t5music.training.note_masking.note_masks import Words

BAR, POSITION, PITCH, DURATION, SENTINEL = 3, 4, 8, 32, 127
LENGTHS = (24, 16)
CHUNKS = 12
_IDS = np.arange(128)
_FAMILY = np.select(
    [(_IDS >= POSITION) & (_IDS < PITCH), (_IDS >= PITCH) & (_IDS < DURATION), (_IDS >= DURATION) & (_IDS < 40)],
    [0, 1, 2],
    -1,
).astype(np.int32)
WORDS = Words(
    family=_FAMILY,
    head=_FAMILY == 1,
    leads=_FAMILY == 0,
    bar=_IDS == BAR,
    firsts=np.array([POSITION, PITCH, DURATION], np.int32),
    sizes=np.array([4, 24, 8], np.int32),
    sentinel=SENTINEL,
    sentinels=10,
)
TASK = Task(WORDS, ("Pos", "Pitch", "Duration"), CHUNKS, LENGTHS)


def row(number):
    """int32 [24]: bars of a position and two notes each, ended by EOS; every second row is shorter."""
    rng = np.random.default_rng(number)
    words = []
    for _ in range(3 - number % 2):
        notes = [(PITCH + rng.integers(24), DURATION + rng.integers(8)) for _ in range(2)]
        words += [BAR, POSITION + rng.integers(4), *notes[0], *notes[1]]
    return np.pad(np.array([*words, 1], np.int32), (0, LENGTHS[0] - len(words) - 1))


def batch(numbers, epoch=0):
    """Rows as of data.loading.note_chunks."""
    return {
        "encoder_input_tokens": np.stack([row(number) for number in numbers]),
        "chunk": np.array(numbers, np.int32),
        "epoch": np.full(len(numbers), epoch, np.int32),
    }


class Batches:
    """Four rows at a time of the twelve there are, epoch after epoch."""

    def __init__(self, *, stop_at=None):
        self.position, self._stop_at = 0, stop_at

    def __next__(self):
        epoch, place = divmod(self.position, CHUNKS // 4)
        self.position += 1
        if self.position == self._stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        order = np.random.default_rng(epoch).permutation(CHUNKS)
        return batch(order[4 * place : 4 * place + 4].tolist(), epoch)

    def get_state(self):
        return {"next": self.position}

    def set_state(self, state):
        self.position = state["next"]
