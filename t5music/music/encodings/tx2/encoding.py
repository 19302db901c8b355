"""tx2: tx1 with dynamics and timbres, the other event list of LakhNES's repository (685 words; the paper has tx1 only).

tx1's 630 words and 55 more: `P1_VELOCITY_1..15`, `P2_VELOCITY_1..15`, `NO_VELOCITY_1..15` (volumes), `P1_TIMBRE_0..3`,
`P2_TIMBRE_0..3` (duty cycles of the pulses), `NO_TIMBRE_0..1` (modes of the noise). The triangle has neither. Words and
their order are those of the authors' `tx2_vocab.txt`. Every NOTEON of P1, P2 and NO is followed by its volume; further
volumes and timbres stand wherever the chip changes them, in NES-MDB several within a note:

    P1_NOTEON_60 P1_VELOCITY_12 P1_TIMBRE_2 TR_NOTEON_36 WT_740 P1_VELOCITY_10 WT_740 P1_VELOCITY_8 ...

A Score holds notes only, with one velocity each. What changes beside them is an `expression`, an array of its own:
`encode(score, expression)` and `expression(events)` are each other's inverse, and `music.nes.expression.read` takes it
from the controllers 11 and 12 of NES-MDB's MIDI files. `encode(score)` says the notes' own volumes alone.

What is lost: as in tx1, but for the velocities, of which 15 are left.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from t5music.errors import MidiError
from t5music.music.encodings.base import Decoded, Events
from t5music.music.encodings.tx1.encoding import TX1, VOICES, samples_of, voice_notes
from t5music.music.score import Score

VOLUME, TIMBRE = range(2)
EXPRESSION = np.dtype(
    [
        ("tick", np.int64),
        ("voice", np.int8),  # index into tx1.VOICES
        ("kind", np.int8),  # VOLUME or TIMBRE
        ("value", np.int16),
    ]
)
VOLUMES = 15  # 1..15
TIMBRES = (4, 4, 0, 2)  # how many each voice has, from 0; the triangle has no volumes either
TRIANGLE = VOICES.index("TR")
DEFAULT_VOLUME = 10  # of a note without one
# A decoded note's velocity: 29 for volume 1 to 127 for volume 15, which MIDI players sound.
_QUIETEST, _STEP = 29, 7

_MORE = tuple(
    (
        *(f"{voice}_VELOCITY_{volume}" for volume in range(1, VOLUMES + 1) if voice != "TR"),
        *(f"{voice}_TIMBRE_{timbre}" for timbre in range(timbres)),
    )
    for voice, timbres in zip(VOICES, TIMBRES, strict=True)
)


class TX2(TX1):
    """LakhNES's expressive encoding; voices, waits and repairs as in TX1."""

    adds_to = "tx1"

    def __init__(self) -> None:
        super().__init__("tx2", _MORE)
        # For each event id: the voice, kind and value of what a VELOCITY or TIMBRE word says; -1 for other words.
        self._meaning = np.full((len(self.words), 3), -1)
        for voice, words in enumerate(_MORE):
            for word in words:
                kind, value = word.split("_")[1:]
                self._meaning[self.ids[word]] = (voice, VOLUME if kind == "VELOCITY" else TIMBRE, int(value))
        self._word = np.full((len(VOICES), 2, VOLUMES + 1), -1)  # of voice, kind, value
        spoken = np.flatnonzero(self._meaning[:, 0] >= 0)
        self._word[tuple(self._meaning[spoken].T)] = spoken

    def encode(self, score: Score, expression: NDArray | None = None) -> Events:
        """Event ids of a score of at most four monophonic voices, as TX1.encode, with volumes and timbres.

        Where no pulse or noise is louder than 15, velocities are the chip's volumes, as in NES-MDB. Otherwise they are
        MIDI's: volume n is velocity 22 + 7 n, the nearest one is taken.

        expression: EXPRESSION [changes], at the score's ticks, in any order; the last of several of one kind at one
        sample holds, also over the volume of a note that begins there. At one sample a voice says its note, then its
        volume, then its timbre.

        Raises MidiError as TX1.encode, and for an expression that has no word.
        """
        if not len(score.notes):
            return np.empty(0, np.int32)
        laid = voice_notes(score)
        loud = laid.voices != TRIANGLE
        samples, speakers, ids = self._note_events(laid)

        changes = np.zeros(0, EXPRESSION) if expression is None else np.asarray(expression, EXPRESSION)
        changes = changes[np.argsort(changes["tick"], kind="stable")]
        when = np.concatenate([laid.starts[loud], samples_of(score, changes["tick"])])
        voice = np.concatenate([laid.voices[loud], changes["voice"]])
        kind = np.concatenate([np.full(int(loud.sum()), VOLUME), changes["kind"]])
        volumes = _volumes(score.notes["velocity"][laid.order[loud]].astype(np.int64))
        value = np.concatenate([volumes, changes["value"]])
        possible = (voice >= 0) & (voice < len(VOICES)) & (kind >= 0) & (kind <= 1) & (value >= 0) & (value <= VOLUMES)
        words = np.where(possible, self._word[voice * possible, kind * possible, value * possible], -1)
        if (words < 0).any():
            place = int(np.argmax(words < 0)) - len(volumes)
            raise MidiError(f"tx2 has no word for the expression {changes[place].tolist()} (tick, voice, kind, value)")
        order = np.lexsort((kind, voice, when))  # stable: of equals the last one holds
        when, voice, kind, words = when[order], voice[order], kind[order], words[order]
        last = np.append((np.diff(when) > 0) | (np.diff(voice) > 0) | (np.diff(kind) > 0), True)[: len(when)]

        ranks = np.concatenate([speakers * 3, (voice * 3 + 1 + kind)[last]])
        return self._in_order(score, np.append(samples, when[last]), ranks, np.append(ids, words[last]))

    def _decode(self, events: Events) -> Decoded:
        """As TX1's, with velocities 29..127 for volumes 1..15. Timbres, and volumes within notes, see `expression`.

        One more repair: a pulse or noise note without a volume at its sample gets the voice's last one, or 10.
        """
        score, repairs = super()._decode(events)
        volumes = self.expression(events)
        volumes = volumes[volumes["kind"] == VOLUME]
        notes = score.notes.copy()
        loud = np.flatnonzero(notes["track"] != TRIANGLE)
        voice = notes["track"][loud].astype(np.int64)
        # A voice's volumes on a time line of its own, so that one search finds each note's last one.
        apart = score.end_tick + int(volumes["tick"].max(initial=0)) + 1
        volumes = volumes[np.argsort(volumes["voice"] * np.int64(apart) + volumes["tick"], kind="stable")]
        line = volumes["voice"] * np.int64(apart) + volumes["tick"]
        latest = np.searchsorted(line, voice * apart + notes["onset"][loud], side="right") - 1
        latest_volumes = np.append(volumes, np.array([(-1, -1, VOLUME, DEFAULT_VOLUME)], EXPRESSION))[latest]
        repairs += int(((latest_volumes["voice"] != voice) | (latest_volumes["tick"] != notes["onset"][loud])).sum())
        volume = np.where(latest_volumes["voice"] == voice, latest_volumes["value"], DEFAULT_VOLUME)
        notes["velocity"][loud] = _QUIETEST + _STEP * (volume - 1)
        return Decoded(score.with_notes(notes), repairs)

    def expression(self, events: ArrayLike) -> NDArray:
        """What the VELOCITY and TIMBRE words say (EXPRESSION [changes]), at the ticks of the decoded score.

        Those of notes are among them. Of the first 90 minutes, as in decoding.
        """
        events, samples, _ = self._within_limit(self._checked(events))
        spoken = self._meaning[events, 0] >= 0
        changes = np.empty(int(spoken.sum()), EXPRESSION)
        changes["tick"] = samples[spoken]
        changes["voice"], changes["kind"], changes["value"] = self._meaning[events[spoken]].T
        return changes


def _volumes(velocities: NDArray[np.int64]) -> NDArray[np.int64]:
    """Volumes 1..15 of the velocities of a piece; see TX2.encode."""
    if velocities.max(initial=0) <= VOLUMES:
        return np.maximum(velocities, 1)
    return np.clip(np.rint((velocities - _QUIETEST) / _STEP).astype(np.int64) + 1, 1, VOLUMES)
