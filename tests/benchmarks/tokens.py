"""MIDI file -> token ids: t5music beside note-seq (`performance`) and MidiTok (`remi`), on one core.

    make peers
    python tests/benchmarks/tokens.py FOLDER [--files 500] [--rounds 3] [--peers .venv-peers/bin/python]

FOLDER holds unpacked archives of MIDI files; see common.choose for which of them are read. A file's time is that from
its name to its ids: reading and parsing, for note-seq also sustain pedal, quantisation and encoding by
PerformanceOneHotEncoding (32 velocities), for MidiTok REMI in its default configuration. Files that either peer or
t5music refuses are replaced by others of the same archive. Expected: at least 30 and 6 times as fast.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from common import FILES, PEERS, choose, one_core, other_python, table, take_turns, timed

HERE = Path(__file__).resolve().parent


def ours(encoding_name: str) -> Callable[[Path], object]:
    """t5music: file -> ids of the vocabulary."""
    from t5music.data.vocabulary import default
    from t5music.music import encodings, midi

    encoding, vocabulary = encodings.get(encoding_name), default()
    return lambda file: vocabulary.encode_events(encoding_name, encoding.encode(midi.read(file)))


def note_seq() -> Callable[[Path], object]:
    """note-seq: file -> ids of PerformanceOneHotEncoding."""
    from note_seq import (
        PerformanceOneHotEncoding,
        apply_sustain_control_changes,
        midi_io,
        performance_lib,
        quantize_note_sequence_absolute,
    )

    one_hot = PerformanceOneHotEncoding(num_velocity_bins=32)

    def read(file: Path) -> list[int]:
        sequence = apply_sustain_control_changes(midi_io.midi_file_to_note_sequence(str(file)))
        quantised = quantize_note_sequence_absolute(sequence, 100)
        return [one_hot.encode_event(event) for event in performance_lib.Performance(quantised, num_velocity_bins=32)]

    return read


def refused(work: Callable[[Path], object], file: Path) -> bool:
    """Whether a reader cannot read a file."""
    try:
        work(file)
    except Exception:  # peers raise whatever their parsers raise
        return True
    return False


def compare(candidates: Sequence[Path], count: int, rounds: int, peers: Path) -> str:
    """Times everybody on the first `count` candidates that nobody refuses; returns a Markdown table."""
    in_process = {"performance": ours("performance"), "remi": ours("remi"), "note-seq": note_seq()}
    with other_python(peers, HERE / "miditok_peer.py") as miditok:
        files: list[Path] = []
        for file in candidates:
            if len(files) == count:
                break
            if miditok([file])[0] is not None and not any(refused(work, file) for work in in_process.values()):
                files.append(file)
        readers = {name: timed(work) for name, work in in_process.items()}
        readers["MidiTok"] = lambda group: sum(seconds or 0.0 for seconds in miditok(group))
        seconds = take_turns(readers, files, rounds)
    rows = []
    for encoding, peer in (("performance", "note-seq"), ("remi", "MidiTok")):
        mine, theirs = (1000 * seconds[name] / len(files) for name in (encoding, peer))
        rows.append((encoding, f"{mine:.2f}", peer, f"{theirs:.2f}", f"{theirs / mine:.1f}"))
    return table(("encoding", "t5music, ms a file", "peer", "peer, ms a file", "times as fast"), rows) + (
        f"\n\n{len(files)} files, best of {rounds} rounds, one core"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=FILES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", type=Path, default=PEERS, help="Python of the environment that has MidiTok")
    options = parser.parse_args()
    one_core()
    print(compare(choose(options.folder, options.files), options.files, options.rounds, options.peers))


if __name__ == "__main__":
    main()
