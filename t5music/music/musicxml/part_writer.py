"""A part of a written score: one track with one program, as MusicXML."""

from __future__ import annotations

import bisect
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from t5music.music.instruments import instrument_name, percussion_name
from t5music.music.musicxml.beams import Written, beams
from t5music.music.musicxml.layout import Bar, Layout
from t5music.music.musicxml.marks import FORTE
from t5music.music.musicxml.notation import PLAYED_VOICES, Chord, filled, values, voices
from t5music.music.score import DRUMS, Score

_KEYBOARDS = (*range(8), *range(16, 21), 46)  # pianos, organs and the harp have two staves
_MIDDLE_C = 60
_SECOND_STAFF_VOICES = 5  # the first voice of the lower staff
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class _Line(NamedTuple):
    """A voice of a part.

    Attributes:
        voice, staff: their numbers, from 1.
        is_first_of_staff: whether it is the one that has rests where its staff is silent.
        chords: those that sound in each bar, by its index.
    """

    voice: int
    staff: int
    is_first_of_staff: bool
    chords: dict[int, list[Chord]]


class _Sign(NamedTuple):
    """What stands between notes: its unit, its text (with a place for an offset), whether it cuts notes."""

    unit: int
    text: str
    cuts: bool


class PartWriter:
    """A part: one track of a score, as MusicXML."""

    def __init__(self, score: Score, layout: Layout, track: int, name: str, program: int) -> None:
        self.layout = layout
        self.id = f"P{track + 1}"
        self.channel = 10 if program == DRUMS else (track % 15) + 1 + (track % 15 >= 9)
        self.name = _text(name) or instrument_name(program)
        self.program = program
        notes = score.notes[score.notes["track"] == track]
        starts = layout.units(notes["onset"])
        ends = np.maximum(layout.units(notes["onset"] + notes["duration"]), starts + 1)
        self.pitches, self.velocities = notes["pitch"].tolist(), notes["velocity"].tolist()
        self.starts, self.ends = starts.tolist(), dict(enumerate(ends.tolist()))
        self.sounds = sorted(set(self.pitches)) if program == DRUMS else []
        self.staves = self._staves()
        pedals = score.pedals[score.pedals["track"] == track]
        last = layout.bars[-1].end
        edges = [(min(unit, last), "start") for unit in layout.units(pedals["onset"]).tolist()]
        edges += [(min(unit, last), "stop") for unit in layout.units(pedals["onset"] + pedals["duration"]).tolist()]
        self.pedals = sorted(edges, key=lambda edge: (edge[0], edge[1] == "start"))

    def _staves(self) -> list[list[int]]:
        """The notes of each staff, from the top."""
        everything = list(range(len(self.pitches)))
        if self.program not in _KEYBOARDS or not min(self.pitches) < _MIDDLE_C - 5 <= _MIDDLE_C + 5 < max(self.pitches):
            return [everything]
        upper = [index for index in everything if self.pitches[index] >= _MIDDLE_C]
        return [upper, [index for index in everything if self.pitches[index] < _MIDDLE_C]]

    # ------------------------------------------------------------------------------------------------- part list

    def listing(self) -> Iterator[str]:
        """The part's entry in the list of parts."""
        yield f"<score-part id={quoteattr(self.id)}><part-name>{escape(self.name)}</part-name>"
        names = {f"{self.id}-I{key + 1}": percussion_name(key) for key in self.sounds}
        names = names or {f"{self.id}-I1": instrument_name(self.program)}
        for key, title in names.items():
            yield f'<score-instrument id="{key}"><instrument-name>{escape(title)}</instrument-name></score-instrument>'
        for key in names:
            sound = f"<midi-program>{self.program + 1}</midi-program>"
            if self.program == DRUMS:
                sound = f"<midi-unpitched>{key.rpartition('I')[2]}</midi-unpitched>"
            channel = f"<midi-channel>{self.channel}</midi-channel>"
            yield f'<midi-instrument id="{key}">{channel}{sound}</midi-instrument>'
        yield "</score-part>"

    # -------------------------------------------------------------------------------------------------- measures

    def measures(self) -> Iterator[str]:
        """The part's measures."""
        lines = list(self._lines())
        signs = self._signs()
        yield f"<part id={quoteattr(self.id)}>"
        first_number = int(not self.layout.bars[0].is_pickup)
        for index, bar in enumerate(self.layout.bars):
            implicit = "" if bar.is_full else ' implicit="yes"'
            yield f'<measure number="{index + first_number}"{implicit}>'
            yield from self._head(bar, is_first=index == 0)
            for line in lines:
                chords = line.chords.get(index, [])
                if not chords and not line.is_first_of_staff:
                    continue  # only the first voice of a staff has rests for a whole bar
                if line.voice > 1:
                    yield f"<backup><duration>{bar.end - bar.start}</duration></backup>"
                yield from self._voice(bar, chords, line, signs.get(index, []) if line.voice == 1 else [])
            yield "</measure>"
        yield "</part>"

    def _lines(self) -> Iterator[_Line]:
        """The part's voices. Where the voices of played music cut notes short, those end there from now on."""
        most = None if self.layout.grid.is_exact else PLAYED_VOICES
        number = 1
        for staff, members in enumerate(self.staves, 1):
            number = number if staff == 1 else max(_SECOND_STAFF_VOICES, number)
            starts, ends = [self.starts[note] for note in members], [self.ends[note] for note in members]
            for rank, line in enumerate(voices(starts, ends, [self.pitches[note] for note in members], most)):
                whole = [chord._replace(notes=tuple(members[note] for note in chord.notes)) for chord in line]
                for chord in whole:
                    self.ends.update(dict.fromkeys(chord.notes, chord.end))
                yield _Line(number, staff, rank == 0, _by_bar(whole, self.layout))
                number += 1

    def _head(self, bar: Bar, *, is_first: bool) -> Iterator[str]:
        """What a bar states before its notes."""
        content = [f"<divisions>{self.layout.grid.units}</divisions>"] if is_first else []
        key = next((key for key in self.layout.keys if key[0] == bar.start), None)
        if key is not None:
            content.append(_key(key))
        if bar.states_meter:
            content.append(f"<time><beats>{bar.meter[0]}</beats><beat-type>{bar.meter[1]}</beat-type></time>")
        if is_first:
            content += [f"<staves>{len(self.staves)}</staves>"] if len(self.staves) > 1 else []
            content += [self._clef(staff, members) for staff, members in enumerate(self.staves, 1)]
        if content:
            yield f"<attributes>{''.join(content)}</attributes>"

    def _clef(self, staff: int, members: list[int]) -> str:
        number = f' number="{staff}"' if len(self.staves) > 1 else ""
        if self.program == DRUMS:
            return f"<clef{number}><sign>percussion</sign><line>2</line></clef>"
        mean = sum(self.pitches[index] for index in members) / max(len(members), 1)
        sign, line = ("F", 4) if (staff == 2 or mean < _MIDDLE_C - 3) else ("G", 2)
        return f"<clef{number}><sign>{sign}</sign><line>{line}</line></clef>"

    def _signs(self) -> dict[int, list[_Sign]]:
        """The signs within each bar, by its index, in the order of time."""
        bars = self.layout.bars
        starts = self.layout.bar_starts
        signs = [_Sign(unit, _pedal(kind), cuts=False) for unit, kind in self.pedals]
        if self.id == "P1":
            signs += [_Sign(unit, _tempo(tempo), cuts=False) for unit, tempo in self.layout.tempi]
        for key in self.layout.keys:
            signs.append(_Sign(key[0], f"<attributes>{_key(key)}</attributes>", cuts=True))
        by_bar: defaultdict[int, list[_Sign]] = defaultdict(list)
        for sign in sorted(signs, key=lambda sign: sign.unit):
            index = bisect.bisect_right(starts, sign.unit) - 1
            if not sign.cuts or sign.unit > bars[index].start:  # keys at its start are in the bar's head
                by_bar[index].append(sign)
        return by_bar

    def _voice(self, bar: Bar, chords: Sequence[Chord], line: _Line, signs: Sequence[_Sign]) -> Iterator[str]:
        """One voice of a bar: its notes and rests, with the signs before them."""
        if not chords and not signs:
            length = f"<duration>{bar.end - bar.start}</duration><voice>{line.voice}</voice>"
            yield f'<note><rest measure="yes"/>{length}{self._staff(line)}</note>'
            return
        cuts = [sign.unit for sign in signs if sign.cuts]
        whole = [part for chord in filled(chords, bar.start, bar.end) for part in _cut(chord, cuts)]
        edges = sorted({edge - bar.start for chord in whole for edge in (chord.start, chord.end)})
        units = self.layout.grid.units
        written: list[Written] = []
        for chord in whole:
            at = chord.start
            for value in values(chord.start - bar.start, chord.end - bar.start, edges, units):
                written.append(Written(at, value, chord.notes))
                at += value.units
        waiting = list(reversed(signs))
        for each, beam in zip(written, beams(written, bar, units), strict=True):
            while waiting and waiting[-1].unit < each.at + each.value.units:
                sign = waiting.pop()
                offset = f'<offset sound="yes">{sign.unit - each.at}</offset>' if sign.unit > each.at else ""
                yield sign.text.format(offset=offset)
            yield from self._notes(each, beam, line, bar)
        while waiting:
            yield waiting.pop().text.format(offset="")

    def _staff(self, line: _Line) -> str:
        return f"<staff>{line.staff}</staff>" if len(self.staves) > 1 else ""

    def _notes(self, written: Written, beam: Sequence[str], line: _Line, bar: Bar) -> Iterator[str]:
        """A chord, or a rest, of one value."""
        at, value, notes = written
        units = self.layout.grid.units
        look = f"<voice>{line.voice}</voice><type>{value.type}</type>" + "<dot/>" * value.dots
        tuplet = ""
        if value.tuplet is not None:
            actual, normal = value.tuplet
            look += (
                f"<time-modification><actual-notes>{actual}</actual-notes><normal-notes>{normal}</normal-notes>"
                "</time-modification>"
            )
            begins, ends = (at - bar.start) % units == 0, (at + value.units - bar.start) % units == 0
            tuplet = '<tuplet type="start"/>' * begins + '<tuplet type="stop"/>' * ends
        look += self._staff(line)
        duration = f"<duration>{value.units}</duration>"
        if not notes:
            notations = f"<notations>{tuplet}</notations>" if tuplet else ""
            yield f"<note><rest/>{duration}{look}{notations}</note>"
        joins = "".join(f'<beam number="{level}">{sign}</beam>' for level, sign in enumerate(beam, 1))
        for rank, note in enumerate(sorted(notes, key=lambda note: self.pitches[note])):
            ties = ["stop"] * (at > self.starts[note]) + ["start"] * (at + value.units < self.ends[note])
            sound = "".join(f'<tie type="{kind}"/>' for kind in ties)
            notations = "".join(f'<tied type="{kind}"/>' for kind in ties) + (tuplet if rank == 0 else "")
            notations = f"<notations>{notations}</notations>" if notations else ""
            instrument = f'<instrument id="{self.id}-I{self.pitches[note] + 1}"/>' if self.program == DRUMS else ""
            loudness = f"{100 * self.velocities[note] / FORTE:.2f}"
            yield (
                f'<note dynamics="{loudness}">{"<chord/>" * (rank > 0)}{self._pitch(note, at)}{duration}{sound}'
                f"{instrument}{look}{joins * (rank == 0)}{notations}</note>"
            )

    def _pitch(self, note: int, at: int) -> str:
        pitch = self.pitches[note]
        if self.program == DRUMS:
            step, octave = "FGABCDE"[pitch % 7], 4 + (pitch % 14) // 7
            return (
                f"<unpitched><display-step>{step}</display-step><display-octave>{octave}</display-octave></unpitched>"
            )
        key = bisect.bisect_right(self.layout.keys, at, key=lambda key: key[0])
        _, fifths, minor = self.layout.keys[key - 1] if key else (0, 0, False)
        step, alter, octave = _spelling(pitch, fifths, minor)
        altered = f"<alter>{alter}</alter>" if alter else ""
        return f"<pitch><step>{step}</step>{altered}<octave>{octave}</octave></pitch>"


def _spelling(pitch: int, fifths: int, minor: bool) -> tuple[str, int, int]:
    """Letter, semitones and octave of a pitch in a key: as the one of twelve neighbours on the line of fifths it is."""
    lowest = fifths + (-3 if minor else -4)  # the flattest of them: in C major A flat, in A minor E flat
    place = lowest + (7 * pitch - lowest) % 12
    letter, alter = 4 * place % 7, (place + 1) // 7
    octave = (pitch - alter - (0, 2, 4, 5, 7, 9, 11)[letter]) // 12 - 1
    if octave < min(pitch // 12 - 1, 0) or octave > 9:  # lower than MusicXML and the pitch need, or too high
        return _spelling(pitch, 0, minor=False)
    return "CDEFGAB"[letter], alter, octave


def _by_bar(chords: Iterable[Chord], layout: Layout) -> dict[int, list[Chord]]:
    """The chords that sound in each bar, by its index."""
    by_bar: defaultdict[int, list[Chord]] = defaultdict(list)
    for chord in chords:
        index = bisect.bisect_right(layout.bar_starts, chord.start) - 1
        while index < len(layout.bars) and layout.bars[index].start < chord.end:
            by_bar[index].append(chord)
            index += 1
    return by_bar


def _cut(chord: Chord, cuts: Sequence[int]) -> Iterator[Chord]:
    """A chord in parts, cut at these units."""
    at = chord.start
    for cut in cuts:
        if at < cut < chord.end:
            yield chord._replace(start=at, end=cut)
            at = cut
    yield chord._replace(start=at)


def _text(name: str) -> str:
    """A name as XML can hold it, in one line."""
    return " ".join(_NOT_XML.sub("\ufffd", name).split())


def _key(key: tuple[int, int, bool]) -> str:
    return f"<key><fifths>{key[1]}</fifths><mode>{'minor' if key[2] else 'major'}</mode></key>"


def _tempo(microseconds: int) -> str:
    """A metronome mark in whole quarters a minute, and the tempo exactly. Braces stand for the offset."""
    mark = f"<beat-unit>quarter</beat-unit><per-minute>{round(60e6 / microseconds)}</per-minute>"
    return (
        f'<direction placement="above"><direction-type><metronome>{mark}</metronome></direction-type>{{offset}}'
        f'<sound tempo="{60e6 / microseconds:.9g}"/></direction>'
    )


def _pedal(kind: str) -> str:
    return f'<direction><direction-type><pedal type="{kind}" line="yes"/></direction-type>{{offset}}</direction>'
