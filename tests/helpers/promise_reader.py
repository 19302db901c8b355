"""What a written MIDI file's new notes are, read with mido alone, and whether they keep promises."""

from __future__ import annotations

import io
from typing import NamedTuple

import mido

DRUM_CHANNEL, DRUMS = 9, 128


class Note(NamedTuple):
    begin: int
    end: int
    pitch: int
    program: int  # 128 for percussion


def notes_of(data: bytes, is_new: bool = True) -> list[Note]:
    """The notes of the tracks that t5music added, or of the others."""
    notes = []
    for track in mido.MidiFile(file=io.BytesIO(data)).tracks:
        if track.name.startswith("t5music") != is_new:
            continue
        tick, programs, begun = 0, {}, {}
        for message in track:
            tick += message.time
            if message.type == "program_change":
                programs[message.channel] = message.program
            if message.type not in ("note_on", "note_off"):
                continue
            key = message.channel, message.note
            if message.type == "note_on" and message.velocity:
                begun.setdefault(key, []).append(tick)
            elif begun.get(key):
                program = DRUMS if message.channel == DRUM_CHANNEL else programs.get(message.channel, 0)
                notes.append(Note(begun[key].pop(0), tick, message.note, program))
    return sorted(notes)


def broken(promise: str, text: str, notes: list[Note], start: int, bar: int, song: dict[str, list[Note]]) -> list:
    """The notes (or bars) that break a promise; the new music is in bars of `bar` ticks from `start` on."""
    pitched = [note for note in notes if note.program != DRUMS]
    beat = bar // 4
    bars = range(start, max([note.begin for note in notes], default=start) + 1, bar)
    match promise, text:
        case "instruments", "violin, 0":
            return [note for note in notes if note.program not in (40, 0)]
        case "key", "A minor":
            return [note for note in pitched if note.pitch % 12 not in {0, 2, 4, 5, 7, 9, 11}]
        case "key", "G pentatonic 80%":
            outside = [note for note in pitched if note.pitch % 12 not in {7, 9, 11, 2, 4}]
            return outside if len(outside) > 0.2 * len(pitched) else []
        case "range", "violin G3-A5, 36-60":
            spans = [(note, (55, 81) if note.program == 40 else (36, 60)) for note in pitched]
            return [note for note, (low, high) in spans if not low <= note.pitch <= high]
        case "polyphony", number:
            return [
                note
                for note in pitched
                if sum(other.begin <= note.begin < other.end for other in pitched) > int(number)
            ]
        case "grid", "1/8, 1/8t":
            places = [(note.begin - start) % bar for note in notes]
            return [place for place in places if place % (beat // 2) and place % (beat // 3)]
        case "density", "3-9":
            return [line for line in bars if not 3 <= sum(line <= note.begin < line + bar for note in notes) <= 9]
        case "chords", "| C Am | F | N.C. G7 |":
            chords = [{0, 4, 7}, {9, 0, 4}, {5, 9, 0}, {5, 9, 0}, set(range(12)), {7, 11, 2, 5}]
            on_strong = [note for note in pitched if (note.begin - start) % (bar // 2) == 0]
            return [note for note in on_strong if note.pitch % 12 not in chords[(note.begin - start) // (bar // 2) % 6]]
        case "rhythm_of", "violin":
            onsets = sorted({(note.begin - start) % bar for note in notes})
            of_song = sorted({note.begin % bar for note in song["violin"]})
            return onsets if onsets != of_song else [note for note in pitched if note.end - note.begin != 240]
        case "length", "4 bars":
            return [note for note in notes if note.begin >= start + 4 * bar]
    raise AssertionError(f"nothing checks --{promise} {text!r}")


PROMISES = (
    ("instruments", "violin, 0"),
    ("key", "A minor"),
    ("key", "G pentatonic 80%"),
    ("range", "violin G3-A5, 36-60"),
    ("polyphony", "1"),
    ("polyphony", "3"),
    ("grid", "1/8, 1/8t"),
    ("density", "3-9"),
    ("chords", "| C Am | F | N.C. G7 |"),
    ("rhythm_of", "violin"),
    ("length", "4 bars"),
)
