"""Understanding tasks: labels of pieces and of notes, chords, captions, and ABC.

All inputs are remi's words, so that one pre-training serves all of these tasks, and at most `WORDS` of them: with the
prompt they fit the 512 tokens of the run files. What is done so that inputs do not tell the answer is said by the
modules of t5music.data.examples.

The tasks of MIDI-BERT's paper are cut by notes, as there, and see what it sees: no velocities, no programs. Splits,
chunks and answers are the published ones, on validation and test checked against its authors' arrays.

| task | inputs and targets that hold every chunk |
|---|---|
| `midibert_composer`, `midibert_emotion` | chunks of 512 notes: 2048 (1,640 at most were seen) and 16 |
| `midibert_melody`, `midibert_velocity` | 2048 (1,520) and 1028: two words for each note |
| `small_composer`, `small_emotion` | the same with 64 notes, for two cores: 256 and 16 |
| `small_melody`, `small_velocity` | 256 and 132 |

The split of the emotions is by clip and leaks; `..._emotion_by_song` is the same task on EMOPIA's own split. The
published arrays' order of notes leaks, too, by track where notes begin together: `..._melody_by_track` and
`..._velocity_by_track` have it, for comparison; the others' is by pitch.
"""

from t5music.corpora.catalogue import CATALOGUE
from t5music.data.declaration import add_task
from t5music.data.examples import (
    Caption,
    Classify,
    ClassifyKey,
    ClassifyMeter,
    ClassifyPrintedKey,
    ClassifyStyle,
    LabelNotes,
    NameChords,
    PlayAbc,
    TranscribeAbc,
)

WORDS = 480


def values_of(corpus: str, label: str) -> tuple[str, ...]:
    """The values that a corpus' label can take."""
    return CATALOGUE[corpus].labels[label]


# -------------------------------------------------------------------------------------------------------- composer

add_task(
    "classify_composer",
    ("bach_chorales", "monteverdi", "ryans_mammoth", "trecento"),
    Classify("composer", values_of("bach_chorales", "composer"), "remi", words=192, segments=2),
)

# The ten with most performances in MAESTRO v3, by its table; the names are GiantMIDI-Piano's, too.
PIANO_COMPOSERS = (
    "Alexander Scriabin",
    "Claude Debussy",
    "Domenico Scarlatti",
    "Franz Liszt",
    "Franz Schubert",
    "Frédéric Chopin",
    "Johann Sebastian Bach",
    "Ludwig van Beethoven",
    "Robert Schumann",
    "Sergei Rachmaninoff",
)
add_task("pianist8_composer", "pianist8", Classify("composer", values_of("pianist8", "composer"), "remi", WORDS, 16))
for _corpus in ("maestro", "giantmidi"):
    add_task(f"{_corpus}_composer", _corpus, Classify("composer", PIANO_COMPOSERS, "remi", WORDS, 16))

# ------------------------------------------------------------------------------------------- emotion, genre, style

for _corpus in ("emopia", "emopia_clips", "vgmidi"):
    add_task(f"{_corpus}_emotion", _corpus, Classify("emotion", values_of(_corpus, "emotion"), "remi", WORDS))

# Folders of the ADL Piano MIDI archive: the parent genres of the authors' genre_mapping.json.
ADL_GENRES = ("Ambient", "Blues", "Children", "Classical", "Country", "Electronic", "Folk", "Jazz", "Latin", "Pop",
              "Rap", "Reggae", "Religious", "Rock", "Soul", "Soundtracks", "World")  # fmt: skip
# The likeliest genre of a piece, by the tagger of MidiCaps' authors; rarer ones are left out.
MIDICAPS_GENRES = ("alternative", "ambient", "blues", "classical", "country", "electronic", "folk", "jazz", "metal",
                   "pop", "rock", "soundtrack")  # fmt: skip
add_task("adl_piano_genre", "adl_piano", Classify("genre", ADL_GENRES, "remi", WORDS))
add_task("midicaps_genre", "midicaps", Classify("genre", MIDICAPS_GENRES, "remi", WORDS))
for _corpus in ("lakh_full", "lakh_matched"):
    for _label in ("genre", "style", "tagtraum"):
        add_task(f"{_corpus}_{_label}", _corpus, Classify(_label, values_of(_corpus, _label), "remi", WORDS))

STYLES = {
    "bach_chorales": "chorale",
    "jazz_piano": "jazz",
    "maestro": "classical",
    "monteverdi": "madrigal",
    "nes_mdb_midi": "game",
    "nottingham": "folk",
    "pop909": "pop",
    "ryans_mammoth": "folk",
}
SMALL_STYLES = {  # the same styles, of corpora of small downloads
    "bach_chorales": "chorale",
    "jazz_piano": "jazz",
    "monteverdi": "madrigal",
    "nes_nsf": "game",
    "nottingham": "folk",
    "piano_midi_de": "classical",
    "pop909": "pop",
    "ryans_mammoth": "folk",
}
for _name, _styles in (("style", STYLES), ("small_style", SMALL_STYLES)):
    _values = tuple(sorted(set(_styles.values())))
    add_task(
        _name,
        tuple(_styles),
        ClassifyStyle("style", _values, "remi", WORDS, 4, tuple(_styles), tuple(_styles.values())),
    )

# ------------------------------------------------------------------------------------------- MIDI-BERT's four tasks

CHUNKS = {"midibert": 512, "small": 64}  # notes
for _name, _notes in CHUNKS.items():
    for _task, _corpus in (("emotion", "emopia_clips"), ("emotion_by_song", "emopia")):
        _values = values_of(_corpus, "emotion")
        add_task(
            f"{_name}_{_task}", _corpus, Classify("emotion", _values, "remi", segments=None, notes=_notes, bare=True)
        )
    _values = values_of("pianist8", "composer")
    _composer = Classify("composer", _values, "remi", segments=None, notes=_notes, fewest=_notes // 2, bare=True)
    add_task(f"{_name}_composer", "pianist8", _composer)
    for _label in ("melody", "velocity"):
        add_task(f"{_name}_{_label}", "pop909_aligned", LabelNotes(_label, notes=_notes))
        add_task(f"{_name}_{_label}_by_track", "pop909_aligned", LabelNotes(_label, notes=_notes, order="track"))

# ------------------------------------------------------------------------------------------------------ key, meter

for _corpus in ("midicaps", "nottingham", "pop909"):
    add_task(f"{_corpus}_key", _corpus, ClassifyKey(words=WORDS))
for _corpus in ("bach_chorales", "openscore_lieder", "ryans_mammoth"):
    add_task(f"{_corpus}_key", _corpus, ClassifyPrintedKey(words=WORDS))
for _corpus in ("nottingham", "ryans_mammoth"):
    add_task(f"{_corpus}_meter", _corpus, ClassifyMeter(words=WORDS))

# ------------------------------------------------------------------------------------------------------------ chords

for _corpus in ("bach_370", "bach_chorales", "jsb_chorales"):
    add_task(f"{_corpus}_chords", _corpus, NameChords("chorale", "remi", part=("soprano",)))
add_task("nottingham_chords", "nottingham", NameChords("folk", "remi", part=("melody",), answer=("chords",)))

# ---------------------------------------------------------------------------------------- notes, captions, notation

add_task("pop909_melody", "pop909", LabelNotes("melody", words=WORDS))
add_task("pop909_velocity", "pop909", LabelNotes("velocity", words=WORDS))
add_task("midicaps_caption", "midicaps", Caption("remi", WORDS))
for _corpus in ("nottingham", "ryans_mammoth", "thesession"):
    add_task(f"{_corpus}_transcribe_abc", _corpus, TranscribeAbc(words=WORDS))
    add_task(f"{_corpus}_abc_to_music", _corpus, PlayAbc(words=WORDS))
