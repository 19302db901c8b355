"""Spelling: which letter and accidental a pitch is written with in a key, and after a transposition.

Pitches are places on the line of fifths, where C is 0, G is 1 and F is -1; a transposition moves along it.
"""

from __future__ import annotations

from t5music.music.abc_notation.items import ACCIDENTALS, LETTERS, MODES, PITCH_CLASSES, Key, Pitch

# The flattest of the twelve pitches, in fifths from C where the signature has no accidentals: in C major from A flat to
# C sharp, in A minor from E flat to G sharp, its leading note.
_FLATTEST, _FLATTEST_IN_MINOR = -4, -3


def spell(midi: int, key: Key) -> Pitch:
    """How a MIDI pitch is written in a key: as the one of twelve neighbours on the line of fifths that it is."""
    lowest = key.fifths + (_FLATTEST_IN_MINOR if key.mode == "m" else _FLATTEST)
    return _pitch(lowest + (7 * midi - lowest) % 12, midi)


def key_of_signature(tonic: str, alters: tuple[int, ...], mode: str | None = None) -> Key:
    """The key on a tonic whose signature alters the seven steps so.

    Args:
        tonic: Such as 'F#'.
        alters: Semitones for each of the steps C, D, E, F, G, A, B.
        mode: The mode to name unless the signature is exactly another's; None for the nearest one.

    Returns:
        A mode where one has this signature; else the given or the nearest mode, with the accidentals that differ.
    """

    def differences(name: str) -> tuple[tuple[int, int], ...]:
        key = Key(tonic, name)
        return tuple((step, alter) for step, alter in enumerate(alters) if key.alter(step) != alter)

    names = sorted(MODES, key=lambda name: name != mode)  # the given one first
    best = min(names, key=lambda name: len(differences(name)) if mode is None else bool(differences(name)))
    return Key(tonic, best, differences(best))


def transposed_key(key: Key, semitones: int) -> Key:
    """The key so many semitones higher, written with as few sharps or flats as there can be."""
    shift = _shift(key, semitones)
    if not shift:
        return key
    letter, alter = _letter(_fifths(LETTERS.index(key.tonic[0]), key.tonic.count("#") - key.tonic.count("b")) + shift)
    alters = dict(_letter(_fifths(step, key.alter(step)) + shift) for step in range(7))
    tonic = LETTERS[letter] + ("#" * alter if alter > 0 else "b" * -alter)
    return key_of_signature(tonic, tuple(alters[step] for step in range(7)), key.mode)


def transposed_pitch(pitch: Pitch, key: Key, semitones: int) -> Pitch:
    """The pitch so many semitones higher, spelled as it was in `key`, from which the tune is transposed."""
    if not semitones:
        return pitch
    place = _fifths(pitch.step % 7, pitch.alter) + _shift(key, semitones)
    moved = _pitch(place, pitch.midi + semitones)
    return moved if moved.alter in ACCIDENTALS else spell(moved.midi, transposed_key(key, semitones))


def _shift(key: Key, semitones: int) -> int:
    """Fifths that a transposition moves by: of those that are so many semitones, the one to the plainest signature."""
    if semitones % 12 == 0:
        return 0
    shifts = [shift for shift in range(-14, 15) if (shift - 7 * semitones) % 12 == 0]
    return min(shifts, key=lambda shift: abs(key.fifths + shift))


def _fifths(letter: int, alter: int) -> int:
    """The place of a letter, 0..6 for C..B, on the line of fifths."""
    return (2 * letter + 1) % 7 - 1 + 7 * alter


def _letter(fifths: int) -> tuple[int, int]:
    """The letter, 0..6 for C..B, and the alteration at a place on the line of fifths."""
    return 4 * fifths % 7, (fifths + 1) // 7


def _pitch(fifths: int, midi: int) -> Pitch:
    """The MIDI pitch, written with the letter at this place on the line of fifths."""
    letter, alter = _letter(fifths)
    octave = (midi - alter - PITCH_CLASSES[letter]) // 12 - 5
    return Pitch(letter + 7 * octave, alter)
