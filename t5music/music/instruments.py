"""General MIDI's instruments (GM Level 1 Sound Set, programs counted from 0) and their families."""

from __future__ import annotations

from t5music.errors import ConfigError, nearest
from t5music.music.score import DRUMS

FAMILY_SIZE = 8  # programs to a family

_SOUND_SET = {
    "Piano": "Acoustic Grand Piano, Bright Acoustic Piano, Electric Grand Piano, Honky-tonk Piano, "
    "Electric Piano 1, Electric Piano 2, Harpsichord, Clavinet",
    "Chromatic percussion": "Celesta, Glockenspiel, Music Box, Vibraphone, Marimba, Xylophone, Tubular Bells, Dulcimer",
    "Organ": "Drawbar Organ, Percussive Organ, Rock Organ, Church Organ, Reed Organ, Accordion, Harmonica, "
    "Tango Accordion",
    "Guitar": "Acoustic Guitar (nylon), Acoustic Guitar (steel), Electric Guitar (jazz), Electric Guitar (clean), "
    "Electric Guitar (muted), Overdriven Guitar, Distortion Guitar, Guitar Harmonics",
    "Bass": "Acoustic Bass, Electric Bass (finger), Electric Bass (pick), Fretless Bass, Slap Bass 1, Slap Bass 2, "
    "Synth Bass 1, Synth Bass 2",
    "Strings": "Violin, Viola, Cello, Contrabass, Tremolo Strings, Pizzicato Strings, Orchestral Harp, Timpani",
    "Ensemble": "String Ensemble 1, String Ensemble 2, Synth Strings 1, Synth Strings 2, Choir Aahs, Voice Oohs, "
    "Synth Voice, Orchestra Hit",
    "Brass": "Trumpet, Trombone, Tuba, Muted Trumpet, French Horn, Brass Section, Synth Brass 1, Synth Brass 2",
    "Reed": "Soprano Sax, Alto Sax, Tenor Sax, Baritone Sax, Oboe, English Horn, Bassoon, Clarinet",
    "Pipe": "Piccolo, Flute, Recorder, Pan Flute, Blown Bottle, Shakuhachi, Whistle, Ocarina",
    "Synth lead": "Lead 1 (square), Lead 2 (sawtooth), Lead 3 (calliope), Lead 4 (chiff), Lead 5 (charang), "
    "Lead 6 (voice), Lead 7 (fifths), Lead 8 (bass + lead)",
    "Synth pad": "Pad 1 (new age), Pad 2 (warm), Pad 3 (polysynth), Pad 4 (choir), Pad 5 (bowed), Pad 6 (metallic), "
    "Pad 7 (halo), Pad 8 (sweep)",
    "Synth effects": "FX 1 (rain), FX 2 (soundtrack), FX 3 (crystal), FX 4 (atmosphere), FX 5 (brightness), "
    "FX 6 (goblins), FX 7 (echoes), FX 8 (sci-fi)",
    "Ethnic": "Sitar, Banjo, Shamisen, Koto, Kalimba, Bagpipe, Fiddle, Shanai",
    "Percussive": "Tinkle Bell, Agogo, Steel Drums, Woodblock, Taiko Drum, Melodic Tom, Synth Drum, Reverse Cymbal",
    "Sound effects": "Guitar Fret Noise, Breath Noise, Seashore, Bird Tweet, Telephone Ring, Helicopter, Applause, "
    "Gunshot",
}

INSTRUMENTS = tuple(name for names in _SOUND_SET.values() for name in names.split(", "))  # of programs 0..127
FAMILIES = tuple(_SOUND_SET)  # of programs 0..7, 8..15, ...


def instrument_name(program: int) -> str:
    """The name of a program, 'Drums' for percussion."""
    return "Drums" if program == DRUMS else INSTRUMENTS[program]


def family_name(program: int) -> str:
    """The name of a program's family, 'Drums' for percussion."""
    return "Drums" if program == DRUMS else FAMILIES[program // FAMILY_SIZE]


def programs_named(name: str) -> list[int]:
    """The programs that a name means: a number (128 for drums), an instrument, a family, or a part of few names.

    Raises ConfigError for a name that means none.
    """
    text = name.strip().lower()
    if text.isascii() and text.isdecimal() and len(text) <= 3 and int(text) <= DRUMS:
        return [int(text)]
    if text in ("drums", "percussion"):
        return [DRUMS]
    names = [instrument.lower() for instrument in INSTRUMENTS]
    if text in names:
        return [names.index(text)]
    families = [family.lower() for family in FAMILIES]
    if text in families:
        first = FAMILY_SIZE * families.index(text)
        return list(range(first, first + FAMILY_SIZE))
    parts = [program for program, instrument in enumerate(names) if text and text in instrument]
    if not parts:
        guess = nearest(text, [*names, *families, "drums"])
        raise ConfigError(
            f"--instruments {name}: not an instrument of General MIDI; give names, or numbers from 0 to 127 "
            f"({DRUMS} for drums){guess}"
        )
    return parts


FIRST_SOUND = 35  # of percussion in General MIDI: its key
_PERCUSSION = (
    "Bass Drum 2, Bass Drum 1, Side Stick, Snare Drum 1, Hand Clap, Snare Drum 2, Low Tom 2, "
    "Closed Hi-hat, Low Tom 1, Pedal Hi-hat, Mid Tom 2, Open Hi-hat, Mid Tom 1, High Tom 2, Crash Cymbal 1, High "
    "Tom 1, Ride Cymbal 1, Chinese Cymbal, Ride Bell, Tambourine, Splash Cymbal, Cowbell, Crash Cymbal 2, "
    "Vibraslap, Ride Cymbal 2, High Bongo, Low Bongo, Mute High Conga, Open High Conga, Low Conga, High "
    "Timbale, Low Timbale, High Agogo, Low Agogo, Cabasa, Maracas, Short Whistle, Long Whistle, Short "
    "Guiro, Long Guiro, Claves, High Wood Block, Low Wood Block, Mute Cuica, Open Cuica, Mute Triangle, "
    "Open Triangle"
)
PERCUSSION_SOUNDS = tuple(_PERCUSSION.split(", "))  # of keys 35..81


def percussion_name(key: int) -> str:
    """The name of a percussion sound, by its key; 'Drum 34' for one outside General MIDI's."""
    place = key - FIRST_SOUND
    return PERCUSSION_SOUNDS[place] if 0 <= place < len(PERCUSSION_SOUNDS) else f"Drum {key}"
