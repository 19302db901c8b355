"""Generation tasks: music from music, from a theme, from a printed score, from a caption, and from nothing.

| task | of |
|---|---|
| `<corpus>_continue`, `<corpus>_infill`, `<corpus>_improvise` | every corpus; `nes_...` for NES-MDB in TX1 |
| `<corpus>_performance_continue`, ... | the corpora of piano performances |
| `<corpus>_accompany` | chorales, POP909, Nottingham |
| `<corpus>_develop` | corpora with bars and tunes |
| `<corpus>_melody_continue` | jazz piano, of each piece how its theme goes on; Nottingham |
| `asap_perform`, `midicaps_compose` | |
"""

from t5music.data.declaration import add_task
from t5music.data.examples import Accompany, Compose, Continue, ContinueMelody, Develop, Improvise, Infill, Perform
from t5music.tasks.corpus_styles import forms

CHORALES = ("bach_370", "bach_chorales", "jsb_chorales")
TUNEFUL = ("adl_piano", "lakh_clean", "lakh_full", "lakh_matched", "nottingham", "pop909", "ryans_mammoth", "vgmidi")

# The quickstart's corpus: prompts and answers that fit its small model.
WORDS = {"bach_chorales": 192}
BARS = {"bach_chorales": 6}

for _name, _corpus, _style, _encoding in forms():
    _name = "nes" if _corpus == "nes_mdb_tx1" else _name  # LakhNES's own form of the music
    add_task(f"{_name}_continue", _corpus, Continue(_style, _encoding, words=WORDS.get(_corpus, Continue.words)))
    add_task(f"{_name}_infill", _corpus, Infill(_style, _encoding))
    add_task(f"{_name}_improvise", _corpus, Improvise(_style, _encoding))

for _corpus in CHORALES:
    _bars = BARS.get(_corpus, Accompany.bars)
    add_task(f"{_corpus}_accompany", _corpus, Accompany("chorale", "remi", part=("soprano",), bars=_bars))
add_task("pop909_accompany", "pop909", Accompany("pop", "remi", part=("melody",), bars=6, answer=("piano",)))
add_task("nottingham_accompany", "nottingham", Accompany("folk", "remi", part=("melody",), answer=("chords",)))

for _corpus in TUNEFUL:
    add_task(f"{_corpus}_develop", _corpus, Develop("remi"))

# Six times as much folk as jazz: Hung et al. 2019 have 9,640 phrases of any genre and 1,608 of jazz.
add_task("jazz_piano_melody_continue", "jazz_piano", ContinueMelody("jazz melody", "remi", limit=3))
add_task("nottingham_melody_continue", "nottingham", ContinueMelody("folk melody", "remi"))

add_task("asap_perform", "asap", Perform())
add_task("midicaps_compose", "midicaps", Compose("remi"))
