"""tx1: the 630 event words of LakhNES (Donahue et al., ISMIR 2019) for the four voices of the NES, literally.

Time runs in samples of 44.1 kHz, four monophonic voices play: pulse 1, pulse 2, triangle, noise. At one instant the
voices speak in the order P1 P2 TR NO; one wait lies between two instants; a NOTEOFF is left out where the voice's next
note begins at the same sample. Words and their order are those of the authors' `tx1_vocab.txt`.

What is lost: velocities, timbres, tempo, meters and keys; and every wait snaps, by itself, to the nearest word, as in
LakhNES. Half way it goes up, as the authors made their word list; their training code takes whichever of the two a
Python set happens to yield first (WT_730 and not WT_740 for 735, a frame of the NES). So a wait is off by at most 4.8 %
and 500 samples (11.4 ms), and none up to 100 samples (2.3 ms) at all. The voices stay together; the clock of the whole
piece drifts by the sum. Waits longer than WT_100000, which LakhNES cuts down to it, are repeated WT_100000 and the
rest, so their error is bounded as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.errors import MidiError
from t5music.music.encodings.base import Decoded, Events
from t5music.music.encodings.clock import ClockEncoding
from t5music.music.score import DRUMS, METER, NOTE, TEMPO, Score

SAMPLE_RATE = 44_100
TICKS_PER_QUARTER = 22_050  # at tempo 120 one tick is one sample, as in the MIDI files of NES-MDB
WAITS = np.concatenate(
    [np.arange(1, 101), np.arange(110, 1001, 10), np.arange(1100, 10_001, 100), np.arange(11_000, 100_001, 1000)]
)
VOICES = ("P1", "P2", "TR", "NO")
RANGES = ((33, 108), (33, 108), (21, 108), (1, 16))  # pitches; for NO the 16 periods of the noise generator
PROGRAMS = (80, 81, 38, DRUMS)  # NES-MDB's: square lead, sawtooth lead, synth bass, and a percussion track
# The velocity of every decoded note; NES-MDB itself writes the chip's volumes 1..15, which a MIDI player barely sounds.
VELOCITY = 100
NOISE = VOICES.index("NO")
_OTHER_PULSE = {"P1": "P2", "P2": "P1"}

_LOWEST = np.array([low for low, _ in RANGES])
_HIGHEST = np.array([high for _, high in RANGES])


class _Words(NamedTuple):
    """The words, and of each its voice (-1 for a wait) and the pitch of the note it begins (-1 if it begins none)."""

    words: list[str]
    voices: NDArray[np.int64]
    pitches: NDArray[np.int64]


def _words(more: Sequence[Sequence[str]]) -> _Words:
    """`more`: for each voice, words that follow those of its notes."""
    words = [f"WT_{wait}" for wait in WAITS]
    voices, pitches = [-1] * len(words), [-1] * len(words)
    for voice, (name, (low, high)) in enumerate(zip(VOICES, RANGES, strict=True)):
        words += [f"{name}_NOTEOFF", *(f"{name}_NOTEON_{pitch}" for pitch in range(low, high + 1)), *more[voice]]
        pitches += [-1, *range(low, high + 1)] + [-1] * len(more[voice])
        voices += [voice] * (len(words) - len(voices))
    return _Words(words, np.array(voices), np.array(pitches))


class VoiceNotes(NamedTuple):
    """The notes that the four voices play, int64 [notes] each, by voice and onset; see TX1.encode.

    order: which note of `Score.notes` it is; voices: 0..3; pitches: as that voice says them; starts, ends: samples.
    off: bool, whether a NOTEOFF ends it, which is where the voice's next note does not begin at once.
    """

    order: NDArray[np.int64]
    voices: NDArray[np.int64]
    pitches: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    off: NDArray[np.bool_]


class TX1(ClockEncoding):
    """LakhNES's encoding. A score's voices are its tracks named p1, p2, tr, no, or else its first three tracks.

    Attributes:
        voices: int64 [words], index into VOICES of the voice whose word it is; -1 for waits.
        other_pulse: int64 [words], the event id of the same word of the other pulse; a word's own id where there is
            none.
    """

    def __init__(self, name: str = "tx1", more: Sequence[Sequence[str]] = ((),) * len(VOICES)) -> None:
        """`more`: further words of each voice, for an encoding that adds to this one."""
        words, self.voices, self._pitch = _words(more)
        waits = np.concatenate([WAITS, np.zeros(len(words) - len(WAITS), int)])
        tonal = np.where(self.voices == NOISE, -1, self._pitch)  # the periods of the noise are no pitches
        super().__init__(name, words, self._pitch >= 0, pitches=tonal, waits=waits, rate=SAMPLE_RATE)
        self._off = np.array([self.ids[f"{voice}_NOTEOFF"] for voice in VOICES])
        # The voice of words about notes, of which an encoding that adds to this one has others beside.
        self._voice = np.where((self._pitch >= 0) | np.isin(np.arange(len(words)), self._off), self.voices, -1)
        self.other_pulse = np.array([self.ids[_of_other_pulse(word)] for word in words])

    def encode(self, score: Score) -> Events:
        """Event ids of a score of at most four monophonic voices.

        Where every track with notes is named p1, p2, tr or no (in any case, as in NES-MDB), the names say the voice.
        Otherwise the percussion of all tracks is NO, pitch p sounding as noise 1 + p mod 16 (so that the General MIDI
        kit, 36..51, keeps its 16 sounds apart), and the other tracks, in order, are P1, P2 and TR.

        A note that begins while its voice sounds cuts the older note. Of percussion that begins at one sample the
        lowest noise is kept. A meter of 1/1 at or after the last note's end is NES-MDB's sign for the end of the song:
        the wait until there is the last event.

        Raises MidiError for more than three pitched tracks, a pitch outside a voice's range, two pitches that begin
        at one sample in a pitched voice, and pieces of more than 90 minutes.
        """
        if not len(score.notes):
            return np.empty(0, np.int32)
        samples, speakers, ids = self._note_events(voice_notes(score))
        return self._in_order(score, samples, speakers, ids)

    def _note_events(self, laid: VoiceNotes) -> tuple[NDArray, NDArray, NDArray]:
        """(samples, voices, event ids) of the NOTEONs and NOTEOFFs."""
        voices, off = laid.voices, laid.off
        ids = [self._off[voices] + 1 + laid.pitches - _LOWEST[voices], self._off[voices[off]]]
        samples = np.concatenate([laid.starts, laid.ends[off]])
        return samples, np.concatenate([voices, voices[off]]), np.concatenate(ids)

    def _in_order(self, score: Score, samples: NDArray, ranks: NDArray, ids: NDArray) -> Events:
        """The events by sample and rank, with the waits between them and up to the end of the song."""
        order = np.lexsort((ranks, samples))
        samples, ids = samples[order], ids[order]
        last = score.meters[-1:]
        if len(last) and last["numerator"][0] == last["denominator"][0] == 1 and last["tick"][0] >= score.end_tick:
            end = samples_of(score, last["tick"])
            if end[0] > samples[-1]:  # the sentinel event that carries the last wait is taken off again
                return self._with_waits(np.append(samples, end), np.append(ids, 0))[:-1]
        return self._with_waits(samples, ids)

    def _decode(self, events: Events) -> Decoded:
        """The score at tempo 120 and one tick a sample, with the tracks p1, p2, tr, no, every velocity 100.

        Its last meter, 1/1, stands where the events end, as in NES-MDB. Waits that meet add up. Repairs: NOTEOFFs of a
        silent voice, notes that end where they begin (both dropped), notes without an end (ended with the events),
        events after 90 minutes (dropped).
        """
        events, samples, repairs = self._within_limit(events)
        total = int(samples[-1]) if len(samples) else 0
        order = np.argsort(self._voice[events], kind="stable")
        order = order[self._voice[events][order] >= 0]
        voices, pitches, samples = self._voice[events][order], self._pitch[events][order], samples[order]

        ended = np.zeros(len(voices), bool)  # a voice's note lasts until whatever the voice does next
        ended[:-1] = voices[1:] == voices[:-1]
        ends = np.where(ended, np.roll(samples, -1), total)
        on = pitches >= 0
        sounding = on & (ends > samples)
        repairs += int(self._stray(events).sum() + (on & ~sounding).sum() + (sounding & ~ended).sum())

        notes = np.empty(int(sounding.sum()), NOTE)
        notes["onset"] = samples[sounding]
        notes["duration"] = (ends - samples)[sounding]
        notes["pitch"] = pitches[sounding]
        notes["velocity"] = VELOCITY
        notes["program"] = np.array(PROGRAMS)[voices[sounding]]
        notes["track"] = voices[sounding]
        meters = np.array([(0, 4, 4), (total, 1, 1)] if total else [(0, 4, 4)], METER)
        tempos = np.array([(0, 500_000)], TEMPO)
        names = tuple(name.lower() for name in VOICES)
        return Decoded(Score(TICKS_PER_QUARTER, notes, tempos=tempos, meters=meters, track_names=names), repairs)

    def _stray(self, events: Events) -> NDArray[np.bool_]:
        stray = np.zeros(len(events), bool)
        for voice in range(len(VOICES)):
            places = np.flatnonzero(self._voice[events] == voice)
            on = self._pitch[events[places]] >= 0
            stray[places] = ~on & ~np.append(False, on[:-1])[: len(places)]
        return stray

    def _note_offs(self, notes: NDArray) -> NDArray[np.int64]:
        return self._off[notes["track"]]


def _of_other_pulse(word: str) -> str:
    """The same word of the other pulse; the word itself where it is of no pulse."""
    voice, _, rest = word.partition("_")
    return f"{_OTHER_PULSE.get(voice, voice)}_{rest}"


def samples_of(score: Score, ticks: NDArray) -> NDArray[np.int64]:
    """The nearest samples of 44.1 kHz (half way: the later) at ticks of a score."""
    return np.floor(score.seconds(ticks) * SAMPLE_RATE + 0.5).astype(np.int64)


def voice_notes(score: Score) -> VoiceNotes:
    """The notes of the voices, of a score with at least one note. Raises MidiError as TX1.encode says."""
    voices, pitches = _assign(score)
    starts = samples_of(score, score.notes["onset"])
    ends = np.maximum(samples_of(score, score.notes["onset"] + score.notes["duration"]), starts + 1)

    order = np.lexsort((-ends, pitches, starts, voices))
    voices, pitches, starts, ends = voices[order], pitches[order], starts[order], ends[order]
    same = (voices[1:] == voices[:-1]) & (starts[1:] == starts[:-1])
    chord = same & (pitches[1:] != pitches[:-1]) & (voices[1:] != NOISE)
    if chord.any():
        place = int(np.argmax(chord))
        raise MidiError(
            f"{VOICES[voices[place]]} begins pitches {pitches[place]} and {pitches[place + 1]} at once, "
            f"{starts[place] / SAMPLE_RATE:.2f} s from the start: tx1 voices are monophonic, keep one note"
        )
    first = np.append(True, ~same)
    order, voices, pitches, starts, ends = (array[first] for array in (order, voices, pitches, starts, ends))

    following = np.full(len(starts), np.iinfo(np.int64).max)  # where the voice's next note begins
    same = voices[1:] == voices[:-1]
    following[:-1][same] = starts[1:][same]
    ends = np.minimum(ends, following)
    return VoiceNotes(order, voices, pitches, starts, ends, ends < following)


def _assign(score: Score) -> tuple[NDArray, NDArray]:
    """The voice (0..3) and the pitch within it of each note (int64 [notes]); see TX1.encode."""
    notes = score.notes
    used = np.unique(notes["track"])
    names = [score.track_names[track].strip().upper() for track in used]
    if all(name in VOICES for name in names):
        voices = np.array([VOICES.index(name) for name in names])[np.searchsorted(used, notes["track"])]
        pitches = notes["pitch"].astype(np.int64)
    else:
        drums = notes["program"] == DRUMS
        pitched = np.unique(notes["track"][~drums])
        if len(pitched) > NOISE:
            raise MidiError(
                f"tx1 has three pitched voices (P1, P2, TR) and this piece has {len(pitched)} pitched tracks: "
                "keep at most three of them"
            )
        voices = np.where(drums, NOISE, np.searchsorted(pitched, notes["track"]))
        pitches = np.where(drums, 1 + notes["pitch"].astype(np.int64) % 16, notes["pitch"])
    wrong = (pitches < _LOWEST[voices]) | (pitches > _HIGHEST[voices])
    if wrong.any():
        place = int(np.argmax(wrong))
        low, high = RANGES[voices[place]]
        raise MidiError(
            f"{VOICES[voices[place]]} plays {low}..{high} and this piece has {pitches[place]} there: "
            "transpose the track or leave it out"
        )
    return voices.astype(np.int64), pitches
