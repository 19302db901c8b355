"""Reading: scores in MusicXML to Scores, as they sound.

What is read: parts, voices, chords, ties; repeats, endings, D.C., D.S., coda and fine, played out; pickups and other
measures that are not full; meters, keys as they sound, metronome marks and tempo words; loudness, hairpins, accents;
grace notes; transposing instruments; percussion by its sounds; pedals; changes of instrument.

What is not: swing, ornaments and arpeggios (the written notes are played), fermatas, ritardandi, chord symbols, cue
notes (they are silent), slash notation and signs that repeat a measure.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from t5music.errors import MidiError
from t5music.files import printable_name
from t5music.music import midi
from t5music.music.midi import limits as midi_limits
from t5music.music.midi.reader import Reading
from t5music.music.midi.writer import END_OF_TICKS
from t5music.music.musicxml import container, converted, order, part_list, performance, xml_stream
from t5music.music.musicxml.limits import CONVERTED_SUFFIXES, MAX_NOTES, MAX_PARTS
from t5music.music.musicxml.measure import PartReader
from t5music.music.musicxml.order import Signs
from t5music.music.musicxml.part_list import Part
from t5music.music.musicxml.performance import Timeline
from t5music.music.musicxml.written import UNITS, WrittenPart
from t5music.music.musicxml.xml_stream import Measure
from t5music.music.score import KEY, METER, NOTE, PEDAL, TEMPO, Score, pedal_spans

LEAST_RESOLUTION = 480  # ticks a quarter; a multiple of what the notes need
ROUNDED_RESOLUTIONS = (10_080, 960)  # for what needs more than MIDI has
_COMMON_TIME = (4, 4)
_SLIVER = UNITS // 64  # by so much may a measure miss its length by rounded tuplets


def read_mended(
    source: str | os.PathLike[str] | bytes, *, name: str | None = None, require_notes: bool = True
) -> Reading:
    """Reads a score in MusicXML, plain or compressed, as it sounds; a path may also be one of Humdrum or MEI.

    A track is a part with the notes of one program, as it would be read back from a MIDI file. Onsets and lengths are
    exact, whatever the tuplets, unless they need more ticks than MIDI has. A measure lasts as long as its longest part;
    one of another length than its meter, such as a pickup, states the meter anew after it, so that bar lines stay.

    Args:
        source: path of the file, or its bytes.
        name: what to call it in errors; by default its path.
        require_notes: whether a score without a single note is an error.

    Returns:
        The score, its own `midi.representable`, and what was mended or rounded.

    Raises:
        MidiError: "FILE: what is wrong", in one line, for every file that is no score, is hostile, or is too long.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        name, data = name or "MusicXML data", bytes(source)
    else:
        name = name or printable_name(source)
        data = container.load(source, name)
        suffix = Path(os.fsdecode(source)).suffix.lower()
        if suffix in CONVERTED_SUFFIXES:
            data = converted.to_musicxml(data, suffix, name)
    reading = _read(xml_stream.read(container.xml_of(data, name), name), name)
    if require_notes and not len(reading.score.notes):
        raise MidiError(f"{name}: no notes in it")
    return reading


def _read(items: Iterator[Element | Measure], name: str) -> Reading:
    parts: dict[str, Part] = {}
    readers: dict[str, PartReader] = {}
    signs = Signs()
    notes = 0
    for item in items:
        if not isinstance(item, Measure):
            parts = part_list.read(item)
            continue
        if item.part not in readers:
            if len(readers) == MAX_PARTS:
                raise MidiError(f"{name}: has more than {MAX_PARTS} parts")
            readers[item.part] = PartReader(parts.get(item.part) or Part(), signs, name)
        reader = readers[item.part]
        notes -= len(reader.written.notes)
        reader.read(item.element, item.number)
        notes += len(reader.written.notes)
        if notes > MAX_NOTES:
            raise MidiError(f"{name}: has more than {MAX_NOTES} notes")
    ranks = {key: rank for rank, key in enumerate(parts)}
    written = [readers[key].written for key in sorted(readers, key=lambda key: ranks.get(key, len(ranks)))]
    if not written:
        raise MidiError(f"{name}: no measure in it")
    return _performed(written, signs, name)


def _performed(parts: list[WrittenPart], signs: Signs, name: str) -> Reading:
    """The parts as they are played together."""
    meters, lengths = _measures(parts)
    sequence = np.array(order.played(signs, len(lengths), name), np.int64)
    written = np.concatenate([[0], np.cumsum(lengths)])
    timeline = Timeline(written, sequence, np.concatenate([[0], np.cumsum(lengths[sequence])]))
    tracks, pedals = [], []
    times_played = np.bincount(sequence, minlength=len(lengths))
    played = 0
    for part in parts:
        played += int(times_played[[note.measure for note in part.notes]].sum()) if part.notes else 0
        if played > MAX_NOTES:
            raise MidiError(f"{name}: with its repeats it has more than {MAX_NOTES} notes")
        notes, times, down = performance.play(part, timeline)
        tracks.append(notes)
        pedals.append(pedal_spans(times, down, 0, 0))  # one that is never lifted has no length, and is left out
    notes = np.concatenate(tracks)
    ends = notes["onset"] + notes["duration"]
    end = int(ends.max(initial=0))
    changes = {
        "tempos": _tempos(parts, timeline, end),
        "meters": _meters(meters, lengths, timeline, end),
        "keys": _keys(parts, timeline, end),
    }
    edges = [notes["onset"], ends, *(array["tick"] for array in changes.values())]
    edges += [edge for spans in pedals for edge in (spans["onset"], spans["onset"] + spans["duration"])]
    resolution, is_exact = _resolution(np.concatenate(edges), end)

    def ticks(units: NDArray[np.int64]) -> NDArray[np.int64]:
        whole, rest = np.divmod(units, UNITS)  # so that no product is too large
        return whole * resolution + (2 * rest * resolution + UNITS) // (2 * UNITS)

    rows = np.zeros(len(notes), NOTE)
    rows["onset"] = ticks(notes["onset"])
    rows["duration"] = np.maximum(ticks(ends) - rows["onset"], 1)
    for field in ("pitch", "velocity", "program"):
        rows[field] = notes[field]
    rows["track"] = np.repeat(np.arange(len(parts)), [len(track) for track in tracks])
    for array in changes.values():
        array["tick"] = ticks(array["tick"])
    for track, spans in enumerate(pedals):
        spans["track"] = track
        spans["duration"] = ticks(spans["onset"] + spans["duration"]) - ticks(spans["onset"])
        spans["onset"] = ticks(spans["onset"])
    midi_limits.check_end(
        int((rows["onset"] + rows["duration"]).max(initial=0)), resolution, midi_limits.Limits(), name
    )
    score = Score(
        resolution,
        rows,
        pedals=np.concatenate([np.empty(0, PEDAL), *pedals]),
        track_names=tuple(part.part.name for part in parts),
        **changes,
    )
    midi_limits.check_length(score, name)
    mended = () if is_exact else (f"times rounded to 1/{resolution} of a quarter note",)
    try:
        return Reading(midi.representable(score), mended)
    except MidiError as error:
        raise MidiError(f"{name}: {error}") from None


def _measures(parts: list[WrittenPart]) -> tuple[list[tuple[int, int]], NDArray[np.int64]]:
    """The meter and the length in UNITS of each written measure."""
    count = max(len(part.lengths) for part in parts)
    lengths = np.zeros(count, np.int64)
    for part in parts:
        lengths[: len(part.lengths)] = np.maximum(lengths[: len(part.lengths)], part.lengths)
    stated: dict[int, tuple[int, int]] = {}
    for part in parts:
        for measure, *meter in part.meters:
            stated.setdefault(measure, (meter[0], meter[1]))
    meters, meter_in_force = [], _COMMON_TIME
    for measure in range(count):
        meter_in_force = stated.get(measure, meter_in_force)
        meters.append(meter_in_force)
        full = _full(meter_in_force)
        if lengths[measure] == 0 or abs(lengths[measure] - full) <= _SLIVER:
            lengths[measure] = full
    return meters, lengths


def _full(meter: tuple[int, int]) -> int:
    """The length of a full measure in UNITS."""
    return meter[0] * 4 * UNITS // meter[1]


def _meters(meters: list[tuple[int, int]], lengths: NDArray, timeline: Timeline, end: int) -> NDArray:
    """The meters (METER, ticks in UNITS) where they change, and after every measure that is not full."""
    rows: list[tuple[int, int, int]] = []
    is_due = True
    for measure, start in zip(timeline.order.tolist(), timeline.starts.tolist(), strict=False):
        if start > 0 and start >= end:
            break
        length, full = int(lengths[measure]), _full(meters[measure])
        meter = meters[measure] if length <= full else _longer(meters[measure], length)
        if is_due or not rows or rows[-1][1:] != meter:
            rows.append((start, *meter))
        is_due = length != _full(meter)
    return np.array(rows, METER)


def _longer(meter: tuple[int, int], length: int) -> tuple[int, int]:
    """A meter for a measure longer than its own: of its length, if there is one, else of one a little longer."""
    for denominator in (2**power for power in range(meter[1].bit_length() - 1, 8)):
        beats, rest = divmod(length * denominator, 4 * UNITS)
        if not rest and beats < 256:
            return beats, denominator
    return min(255, -(-length * meter[1] // (4 * UNITS))), meter[1]


def _tempos(parts: list[WrittenPart], timeline: Timeline, end: int) -> NDArray:
    """The tempi (TEMPO, ticks in UNITS); after a jump that of the place is stated anew."""
    marks: dict[tuple[int, int], float] = {}
    for part in parts:  # of several parts that state a tempo at one place the first one counts
        marks.update({mark[:2]: mark[2] for mark in part.tempi if mark[:2] not in marks})
    rows = _changes([(*place, round(60e6 / marks[place])) for place in sorted(marks)], timeline, end)
    return np.array(rows, TEMPO)


def _keys(parts: list[WrittenPart], timeline: Timeline, end: int) -> NDArray:
    """The keys (KEY, ticks in UNITS) of the first part that states them; one written as it sounds goes first."""
    stating = [part for part in parts if part.keys]
    stating.sort(key=lambda part: (part.transposes, all(note.program == 128 for note in part.notes)))
    marks = {mark[:2]: mark[2:] for mark in stating[0].keys} if stating else {}
    return np.array(_changes([(*place, *marks[place]) for place in sorted(marks)], timeline, end), KEY)


def _changes(marks: list[tuple], timeline: Timeline, end: int) -> list[tuple]:
    """What changes when: (time, values), each only once. `marks` are (measure, position, values)."""
    if not marks:
        return []
    which, times = timeline.times([mark[0] for mark in marks], [mark[1] for mark in marks])
    rows = [(time, 1, *marks[index][2:]) for index, time in zip(which.tolist(), times.tolist(), strict=True)]
    measures = np.array([mark[0] for mark in marks])
    for jump in timeline.jumps().tolist():
        before = int(np.searchsorted(measures, timeline.order[jump])) - 1
        if before >= 0:
            rows.append((int(timeline.starts[jump]), 0, *marks[before][2:]))
    changes: list[tuple] = []
    for time, _, *values in sorted(rows, key=lambda row: row[:2]):
        if time > 0 and time >= end:
            break
        if changes and changes[-1][0] == time:
            changes.pop()
        if not changes or changes[-1][1:] != tuple(values):
            changes.append((time, *values))
    return changes


def _resolution(times: NDArray[np.int64], end: int) -> tuple[int, bool]:
    """The ticks a quarter that give every time exactly, and whether there are any that MIDI can hold."""
    step = int(np.gcd.reduce(np.append(times, UNITS)))
    needed = UNITS // step
    exact = needed * -(-LEAST_RESOLUTION // needed)
    quarters = end // UNITS + 1
    for resolution in (exact, needed, *ROUNDED_RESOLUTIONS):
        if resolution <= 0x7FFF and quarters * resolution < END_OF_TICKS:
            return resolution, resolution % needed == 0
    return LEAST_RESOLUTION, False
