"""The second reader of MIDI files: byte by byte, for what symusic refuses or misreads and a sequencer would play.

Where both can read a file they give equal Scores (the tests hold it on thousands of real files). About 0.2 s for a
megabyte, against 4 ms: `midi.read` comes here only with files that need it. Beyond symusic it decides:

- a data byte above 127 counts as 127, as with `mido.MidiFile(clip=True)`;
- a data byte that no status precedes is skipped, with all that follow it up to the next status;
- running status goes on after meta, SysEx and other system messages; of the latter, which have no place in a file, the
  data bytes are skipped too; events F7 are skipped with what they escape;
- a delta time or length goes on as long as its bytes say so, of which the last 28 bits count;
- a track that ends within an event ends before that event, and one without end of track with its last event;
- tempo, meter and key signatures that are too short, and impossible ones, are left out;
- under SMPTE division time is absolute: tempi mean nothing and are left out, and one tempo throughout makes the
  seconds right;
- the patterns of a file of type 2 are played one after another, each from the end of the track before it, at 120
  quarter notes a minute and in 4/4 unless it says otherwise. RP-001 calls them sequentially independent and gives the
  end of track its exact place for the sake of tracks that are looped or concatenated; played at once they would be
  music that nobody wrote.

Where more than an eighth of the bytes read had to be mended so, the file is refused: that is not music.
"""

from __future__ import annotations

import codecs
from array import array
from collections import Counter, defaultdict, deque

import numpy as np
from numpy.typing import NDArray

from t5music.errors import MidiError
from t5music.music.midi.chunks import Chunks, Limits
from t5music.music.midi.writer import SUSTAIN_PEDAL, last_at_each_tick
from t5music.music.score import DEFAULT_TEMPO, DRUMS, KEY, METER, NOTE, PEDAL, TEMPO, Score, pedal_spans

DRUM_CHANNEL = 9
END_OF_CHANGES = 2**31  # ticks; symusic's limit
SYSTEM_DATA = {0xF1: 1, 0xF2: 2, 0xF3: 1}  # data bytes of system common messages; the others have none
COMMON_METER = 4 << 8 | 4
DAMAGE = ("data bytes above 127", "stray data bytes", "system messages", "numbers of more than 28 bits")


def read(chunks: Chunks, name: str, limits: Limits) -> tuple[Score, list[str]]:
    """Reads the tracks of a file. Time and memory are linear in its bytes.

    Returns:
      The score, with or without notes, and what had to be mended, as "what: how many".

    Raises:
      MidiError: "`name`: ..." for what is beyond the limits, as soon as it is (of notes, all that are struck count),
        and for bytes that are not music.
    """
    reader = _Reader(name, limits)
    start = 0
    for number, (first, last) in enumerate(chunks.tracks):
        if chunks.kind == 2 and number:
            reader.begin_pattern(start)
        end = reader.read_track(chunks.data[first:last], number, start)
        start = end if chunks.kind == 2 else 0
    damaged = sum(reader.mended[what] for what in DAMAGE)
    if 8 * damaged > reader.bytes_read:
        raise MidiError(
            f"{name}: damaged MIDI file: {damaged} of the {reader.bytes_read} bytes that could be read "
            "are not as they should be"
        )
    if chunks.kind == 2 and len(chunks.tracks) > 1:
        reader.mended["patterns played one after another"] = len(chunks.tracks)
    return reader.score(chunks), [f"{what}: {count}" for what, count in reader.mended.items() if count]


class _Reader:
    """What has been read so far, in columns of machine numbers."""

    def __init__(self, name: str, limits: Limits) -> None:
        self.name, self.limits = name, limits
        self.mended: Counter[str] = Counter()
        self.bytes_read = 0
        self.onsets, self.ends = array("q"), array("q")  # ticks; an end of -1 is still to come
        self.pitches, self.velocities = array("B"), array("B")
        self.parts = array("q")  # part: track of the file << 11 | channel << 7 | program
        self.pedals: dict[int, array] = {}  # of each part with notes, tick << 1 | down at every change
        self.changes = {dtype: (array("q"), array("q")) for dtype in (TEMPO, METER, KEY)}  # ticks, values
        self.names: list[str] = []  # of the file's tracks

    def begin_pattern(self, tick: int) -> None:
        """What holds at the beginning of a file holds again."""
        for dtype, default in ((TEMPO, DEFAULT_TEMPO), (METER, COMMON_METER)):
            ticks, values = self.changes[dtype]
            if values and values[-1] != default:
                ticks.append(tick)
                values.append(default)

    def read_track(self, body: bytes, number: int, tick: int) -> int:
        """Reads the events of the file's track `number` from `tick` on and returns the tick at its end."""
        onsets, ends, pitches, velocities = self.onsets, self.ends, self.pitches, self.velocities
        parts, pedals, mended, max_notes = self.parts, self.pedals, self.mended, self.limits.notes
        sounding: defaultdict[int, deque[int]] = defaultdict(deque)  # channel << 7 | pitch -> notes, first struck first
        part = [number << 11 | channel << 7 for channel in range(16)]  # by the programs in force
        waiting = [array("q") for _ in range(16)]  # pedals of a channel until a part of it begins
        title = b""
        status = at = 0
        try:
            while True:
                byte = body[at]
                at += 1
                if byte < 0x80:
                    tick += byte
                else:
                    delta, at = _number(body, at - 1, mended)
                    tick += delta
                byte = body[at]
                if byte < 0x80:
                    if not status:
                        first = at
                        while body[at] < 0x80:
                            at += 1
                        mended["stray data bytes"] += at - first
                        byte = body[at]
                        at += 1
                    else:
                        byte = status
                else:
                    at += 1
                if byte < 0xF0:
                    status, kind, channel = byte, byte >> 4, byte & 15
                    value = body[at]
                    if kind in (0xC, 0xD):
                        if value > 0x7F:
                            value = 0x7F
                            mended["data bytes above 127"] += 1
                        at += 1
                        if kind == 0xC:
                            part[channel] = number << 11 | channel << 7 | value
                        continue
                    second = body[at + 1]
                    at += 2
                    if (value | second) > 0x7F:
                        mended["data bytes above 127"] += (value > 0x7F) + (second > 0x7F)
                        value, second = min(value, 0x7F), min(second, 0x7F)
                    if kind == 9 and second:
                        if len(onsets) >= max_notes:
                            raise MidiError(f"{self.name}: has more than {max_notes} notes")
                        sounding[channel << 7 | value].append(len(onsets))
                        key = part[channel]
                        if key not in pedals:
                            if len(pedals) >= self.limits.tracks:
                                raise MidiError(f"{self.name}: has more than {self.limits.tracks} tracks")
                            pedals[key], waiting[channel] = waiting[channel], array("q")
                        onsets.append(tick)
                        ends.append(-1)
                        pitches.append(value)
                        velocities.append(second)
                        parts.append(key)
                    elif kind <= 9:
                        if notes := sounding[channel << 7 | value]:
                            ends[notes.popleft()] = tick
                    elif kind == 0xB and value == SUSTAIN_PEDAL:
                        moves = pedals.get(part[channel], waiting[channel])
                        down = second >= 64
                        if down != (moves[-1] & 1 if moves else 0):
                            moves.append(tick << 1 | down)
                elif byte == 0xFF:
                    kind = body[at]
                    if kind == 0x2F:
                        if len(body) > at + 2:
                            mended["bytes after the end of a track"] += len(body) - at - 2
                        break
                    size, at = _number(body, at + 1, mended)
                    if at + size > len(body):
                        raise IndexError
                    if kind == 0x03:
                        title = body[at : at + size]
                    elif kind in (0x51, 0x58, 0x59):
                        self._change(kind, tick, body[at : at + size])
                    at += size
                elif byte in (0xF0, 0xF7):
                    size, at = _number(body, at, mended)
                    if at + size > len(body):
                        raise IndexError
                    at += size
                else:
                    at += SYSTEM_DATA.get(byte, 0)
                    mended["system messages"] += 1
        except IndexError:
            mended["tracks without an end"] += 1
        self.bytes_read += min(at, len(body))
        self.names.append(_text(title))
        return tick

    def _change(self, kind: int, tick: int, data: bytes) -> None:
        """Notes a tempo, meter or key signature if music can have it."""
        if kind == 0x51:
            dtype, value = TEMPO, int.from_bytes(data[:3], "big")
            possible = len(data) >= 3 and value > 0
        elif kind == 0x58:
            dtype, possible = METER, len(data) >= 2 and data[0] > 0 and data[1] <= 7
            value = data[0] << 8 | 1 << data[1] if possible else 0
        else:
            dtype, possible = KEY, len(data) >= 2 and (data[0] <= 7 or data[0] >= 249) and data[1] <= 1
            value = data[0] << 8 | data[1] if possible else 0
        if not possible:
            self.mended["impossible tempi, meters or keys"] += 1
        elif tick < END_OF_CHANGES:
            ticks, values = self.changes[dtype]
            if ticks and ticks[-1] == tick:
                values[-1] = value
            else:
                ticks.append(tick)
                values.append(value)

    def score(self, chunks: Chunks) -> Score:
        """The score of all that was read."""
        ends = np.array(self.ends, np.int64)
        ended = ends >= 0
        if not ended.all():
            self.mended["notes without an end"] = int(len(ended) - ended.sum())
        keys, tracks = np.unique(np.array(self.parts, np.int64)[ended], return_inverse=True)
        notes = np.empty(len(tracks), NOTE)
        notes["onset"] = np.array(self.onsets, np.int64)[ended]
        notes["duration"] = np.maximum(ends[ended] - notes["onset"], 1)
        notes["pitch"] = np.array(self.pitches)[ended]
        notes["velocity"] = np.array(self.velocities)[ended]
        notes["program"] = np.where(keys >> 7 & 15 == DRUM_CHANNEL, DRUMS, keys & 127)[tracks]
        notes["track"] = tracks
        self.limits.check_end(int(ends.max(initial=0)), chunks.ticks_per_quarter, self.name)
        end = int((notes["onset"] + notes["duration"]).max(initial=0))
        pedals = [self._spans(self.pedals[key], index, end) for index, key in enumerate(keys.tolist())]
        tempos, meters, signatures = (self._changes(dtype) for dtype in (TEMPO, METER, KEY))
        if chunks.microseconds:
            if len(tempos):
                self.mended["tempi under SMPTE division"] = len(tempos)
            tempos = np.array([(0, chunks.microseconds)], TEMPO)
        return Score(
            ticks_per_quarter=chunks.ticks_per_quarter,
            notes=notes,
            tempos=tempos,
            meters=meters,
            keys=signatures,
            pedals=np.concatenate(pedals) if pedals else np.empty(0, PEDAL),
            track_names=tuple(self.names[key >> 11] for key in keys.tolist()),
        )

    def _spans(self, moves: array, track: int, end: int) -> NDArray:
        moved = np.array(moves, np.int64)
        moved = moved[moved < 2 * END_OF_CHANGES]
        return pedal_spans(moved >> 1, (moved & 1).astype(np.bool_), track, end)

    def _changes(self, dtype: np.dtype) -> NDArray:
        """The changes of one kind in the order of time; of those at one tick the last in the file."""
        ticks, values = (np.array(column, np.int64) for column in self.changes[dtype])
        order = np.argsort(ticks, kind="stable")
        changes = np.empty(len(ticks), dtype)
        changes["tick"], values = ticks[order], values[order]
        if dtype == TEMPO:
            changes["microseconds"] = values
        elif dtype == METER:
            changes["numerator"], changes["denominator"] = values >> 8, values & 255
        else:
            changes["fifths"], changes["minor"] = (values >> 8).astype(np.uint8).view(np.int8), values & 1
        return last_at_each_tick(changes)


def _number(body: bytes, at: int, mended: Counter[str]) -> tuple[int, int]:
    """The variable-length number at `at`, its last 28 bits, and where it ends. IndexError if the bytes end first."""
    number, start = 0, at
    while body[at] > 0x7F:
        number = (number << 7 | body[at] & 0x7F) & 0x1FFFFF
        at += 1
    if at - start > 3:
        mended["numbers of more than 28 bits"] += 1
    return number << 7 | body[at], at + 1


def _text(title: bytes) -> str:
    """A name, with U+FFFD for each sequence that is not UTF-8: the byte that begins it and those that continue it."""
    return title.decode(errors="t5music.one_mark")


def _one_mark(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    after = error.start + 1
    if 0xC0 <= error.object[error.start] < 0xF8:
        while after < len(error.object) and error.object[after] & 0xC0 == 0x80:
            after += 1
    return "\ufffd", after


codecs.register_error("t5music.one_mark", _one_mark)
