"""Damaged MIDI files and scores through the readers, senseless events through the decoders, by the hundred thousand.

    python tests/robustness/fuzz.py midi --count 100000 --seed 0 --from FOLDER
    python tests/robustness/fuzz.py musicxml --count 10000 --seed 0 --from FOLDER
    python tests/robustness/fuzz.py tokens --count 100000 --seed 0 --from FOLDER

Without --from the files are made up. A case depends on the seed and its index alone: --start goes on at an index, and
`--start INDEX --count 1` is one case again. What must hold of each:

- midi: a file is read, or refused with a MidiError of one line. What is read is music within MIDI's ranges, can be
  written and is read back as it was, and is encoded by every encoding that can hold it, and decoded. A corpus takes it
  as a piece or leaves it out with the same reason; the piece becomes examples of a task, and these a store's records.
- musicxml: a score is read, or refused with a MidiError of one line. What is read is music within MIDI's ranges and its
  own representation in MIDI, survives writing as MIDI, and can be written and read as a score again.
- tokens: events decode, `times` never falls, `segments` decode each by itself (ten of them), `chunks` are the events
  again, and the score is written to MIDI and read back.
- No case takes more than two seconds of processor time. (The default suite does not look at this: there one collection
  of garbage, over the objects of thousands of tests, can take longer than any case.)

Measured with the first command, FOLDER being 5,480 real files of up to 30 kB (Python 3.11, one core): midi: 100,000
cases, no failure, 72 % read, of these 94 % mended, the others refused by name. 12.4 ms a case, the slowest 0.19 s; peak
memory 60 MB. With the last, FOLDER being 13,222 real files of the web and of corpora (Python 3.11, one core):
tokens: 100,000 cases, no failure, all decoded, 80 % with repairs, and all written to MIDI and read back. 6.1 ms a
case, the slowest 0.08 s; peak memory 85 MB.

Earlier runs found, and tests now hold: a file without tracks but with odd bytes after its header, which crashed, and
running status after a SysEx that was hidden by a byte that only looked like one, or by a long text.
"""

from __future__ import annotations

import argparse
import faulthandler
import math
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from cases import MIDI_SUFFIXES, SCORE_SUFFIXES, Sources, damaged_file, damaged_score, senseless_events
from numpy.random import Generator
from tqdm import tqdm

from t5music import parallel
from t5music.corpora import read_parts
from t5music.corpora.base import Entry, Skipped, read_file
from t5music.data.compilation.shards import FEATURES, make_examples
from t5music.data.examples import Accompany, Continue, Examples, Infill, Pieces
from t5music.data.store.codec import RecordCodec
from t5music.data.vocabulary import default
from t5music.errors import MidiError
from t5music.music import midi, musicxml
from t5music.music.encodings import ENCODINGS
from t5music.music.score import DRUMS, Score

KINDS = [
    Pieces("performance", words=256),
    Continue("any", "remi", words=64),
    Infill("any", "performance", words=96),
    Accompany("any", "remi", part=("melody", "piano"), bars=2),
]
SLOW = 2.0  # seconds of processor time for a case, when cases alone run in a process
HANG = 300.0  # seconds for a hundred cases


@dataclass
class Report:
    """What came of the cases run."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: dict[int, str] = field(default_factory=dict)  # index of the case -> what is wrong
    seconds: float = 0.0
    slowest: tuple[float, int] = (0.0, -1)  # seconds, index
    interrupted_at: int | None = None  # index to go on with

    def __str__(self) -> str:
        cases = sum(self.outcomes.values())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        lines = [f"{count:8} {outcome}" for outcome, count in self.outcomes.most_common()]
        lines.append(
            f"{cases} cases, {len(self.failures)} failures, {self.seconds / max(cases, 1) * 1e3:.1f} ms a case, "
            f"slowest {self.slowest[0]:.2f} s (case {self.slowest[1]}), peak memory {peak:.0f} MB"
        )
        lines += [f"case {index}: {what}" for index, what in self.failures.items()]
        if self.interrupted_at is not None:
            lines.append(f"interrupted: go on with --start {self.interrupted_at}")
        return "\n".join(lines)


def check_file(sources: Sources, rng: Generator) -> str:
    """Reads one damaged file. Returns what came of it; AssertionError or any other exception is a failure."""
    data = damaged_file(sources, rng)
    try:
        reading = midi.read_mended(data, require_notes=False)
    except MidiError as error:
        if not str(error).startswith("MIDI data: ") or "\n" in str(error):
            raise AssertionError(f"not one line about the data: {error}") from None
        return "refused"
    check_music(reading.score)
    assert all(text and "\n" not in text for text in reading.mended)
    assert check_writing(reading.score), "read, but MIDI cannot hold it"
    check_corpus(data, reading.score, KINDS[rng.integers(len(KINDS))])
    for encoding in ENCODINGS.values():
        try:
            events = encoding.encode(reading.score)
        except MidiError:  # of other voices than the encoding has, or too long for its clock
            continue
        check_music(encoding.decode(events).score)
    return "read and mended" if reading.mended else "read"


def check_corpus(data: bytes, score: Score, kind: Examples) -> None:
    """Takes a file the way of a corpus' files, into a store; AssertionError where other music comes out."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "piece.mid"
        path.write_bytes(data)
        part = parallel.Part([Entry(path.name, path)], Path(folder) / "part")
        read_parts.read_part(read_file, part)
        (item,) = read_parts.items([part])
    if isinstance(item, Skipped):
        assert not len(score.notes), item.reason
        return
    fields = {name: value.encode() if isinstance(value, str) else value for name, value in item.fields.items()}
    try:
        piece, examples = make_examples(kind, {**fields, "group": b""})
    except MidiError:  # of other voices than the task's encoding has, or too long for its clock
        return
    assert piece.score == midi.representable(score)
    vocabulary = default()
    codec = RecordCodec(FEATURES, vocabulary.size)
    for inputs, targets in examples:
        ids = {"inputs": vocabulary.encode(inputs), "targets": vocabulary.encode(targets)}
        example = codec.unpack(codec.pack({**ids, "piece": piece.id})[0])
        assert example["piece"] == piece.id
        assert all(np.array_equal(example[name], ids[name]) for name in ids)
        assert vocabulary.decode(ids["targets"]) == targets


def check_score(sources: Sources, rng: Generator) -> str:
    """Reads one damaged score. Returns what came of it; AssertionError or any other exception is a failure."""
    data = damaged_score(sources, rng)
    try:
        reading = musicxml.read_mended(data)
    except MidiError as error:
        if not str(error).startswith("MusicXML data") or "\n" in str(error):
            raise AssertionError(f"not one line about the data: {error}") from None
        return "refused"
    check_music(reading.score)
    assert midi.representable(reading.score) == reading.score, "not its own representation"
    assert check_writing(reading.score)
    again = musicxml.read_mended(musicxml.to_bytes(reading.score)).score
    check_music(again)
    return "read and mended" if reading.mended else "read"


def check_events(sources: Sources, rng: Generator) -> str:
    """Decodes one array of events. Returns what came of it."""
    encoding = list(ENCODINGS.values())[rng.integers(len(ENCODINGS))]
    events = senseless_events(encoding, sources, rng)
    length = int(rng.choice([16, 64, 512, 2048]))
    times = encoding.times(events)
    assert times.shape == (len(events) + 1,)
    assert np.isfinite(times).all()
    assert (np.diff(times) >= 0).all()
    assert np.array_equal(np.concatenate([events[:0], *encoding.chunks(events, length)]), events)
    score, repairs = encoding.decode(events)
    check_music(score)
    segments = encoding.segments(events, length)
    assert max(map(len, segments), default=0) <= length
    for number in set(rng.integers(0, len(segments), 10).tolist() if segments else []):
        check_music(encoding.decode(segments[number]).score)
    written = check_writing(score)
    return f"{encoding.name}: decoded {'with' if repairs else 'without'} repairs{'' if written else ', not writable'}"


def check_music(score: Score) -> None:
    """AssertionError where a score is not music within MIDI's ranges."""
    notes = score.notes
    assert (notes["onset"] >= 0).all()
    assert (notes["duration"] >= 1).all()
    for name, low, high in (("pitch", 0, 127), ("velocity", 1, 127), ("program", 0, DRUMS)):
        assert ((notes[name] >= low) & (notes[name] <= high)).all(), name
    assert (score.tempos["microseconds"] > 0).all()
    assert ((score.meters["numerator"] > 0) & (score.meters["denominator"] > 0)).all()
    assert (np.abs(score.keys["fifths"]) <= 7).all()
    assert (score.pedals["duration"] > 0).all()
    assert np.isfinite(score.duration_seconds)


def check_writing(score: Score) -> bool:
    """AssertionError where a score does not survive writing and reading. Returns False where MIDI cannot hold it."""
    try:
        data = midi.to_bytes(score)
    except MidiError:
        return False
    assert midi.read(data, require_notes=False) == midi.representable(score), "not what was written"
    return True


CHECKS = {"midi": check_file, "musicxml": check_score, "tokens": check_events}


def run(
    what: str, indices: Iterable[int], seed: int, folder: Path | None = None, *, seconds: float = math.inf
) -> Report:
    """Runs the cases of these indices; one that takes more `seconds` of processor time is a failure."""
    report, sources = Report(), Sources(folder, SCORE_SUFFIXES if what == "musicxml" else MIDI_SUFFIXES)
    for index in indices:
        start = time.process_time()
        try:
            outcome = CHECKS[what](sources, np.random.default_rng([seed, index]))
        except KeyboardInterrupt:
            report.interrupted_at = index
            break
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            report.failures[index] = f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})"
            outcome = "failed"
        duration = time.process_time() - start
        if duration > seconds:
            report.failures[index] = f"took {duration:.1f} s"
        report.outcomes[outcome] += 1
        report.seconds += duration
        report.slowest = max(report.slowest, (duration, index))
    return report


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=CHECKS)
    parser.add_argument("--count", type=int, default=1000, help="how many cases")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0, help="index of the first case")
    parser.add_argument("--from", dest="folder", type=Path, help="folder of MIDI files or scores to damage and encode")
    options = parser.parse_args(arguments)
    indices = tqdm(range(options.start, options.start + options.count), unit=" cases", mininterval=0.5)

    def watched() -> Iterable[int]:
        for index in indices:
            if index % 100 == 0:
                faulthandler.dump_traceback_later(HANG, exit=True, file=sys.__stderr__)
            yield index

    report = run(options.what, watched(), options.seed, options.folder, seconds=SLOW)
    faulthandler.cancel_dump_traceback_later()
    print(report)
    return bool(report.failures)


if __name__ == "__main__":
    faulthandler.enable()  # says where, should a parser crash
    sys.exit(main())
