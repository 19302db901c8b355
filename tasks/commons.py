"""Commons: the mixture of free music that the model in the box (`t5music/pretrained/commons/`) is trained on.

Its corpora are OpenScore's songs and string quartets (CC0) and four parts of music21's corpus, all of music that is
out of copyright. Of each there are span corruption and what one asks of music: to continue it, to fill it in, to begin
it, to accompany a part of it, to name its keys and chords, and to label it.

| task | inputs -> targets |
|---|---|
| `openscore_lieder_accompany` | `accompany lied: <the singer>` -> the piano |
| `openscore_string_quartets_accompany` | `accompany quartet: <first violin>` -> the other three |
| `openscore_lieder_chords` | `chords lied: <the singer>` -> `| Am | Dm E7 | Am |` |
| `commons_style` | `classify style: <as piano, bars hidden>` -> `lied`, `quartet`, `chorale`, `madrigal`, ... |

Examples are drawn in proportion to these shares. Chorales are few and have more than their share: they are what people
know the answer to.
"""

from t5music.data.declaration import add_mixture, add_task
from t5music.data.examples import Accompany, ClassifyStyle, NameChords
from t5music.data.mixing_rates import Constant
from t5music.tasks import generation, pretraining  # noqa: F401  (they declare the other tasks of the mixture)
from t5music.tasks.corpus_styles import CORPORA
from t5music.tasks.understanding import WORDS

# What songs call the singer, in nineteen of twenty songs for one voice and piano.
SINGERS = (
    "voice",
    "singstimme voice",
    "chant voice",
    "gesang voice",
    "canto voice",
    "stimme voice",
    "voice gesang",
    "singstimme",
    "chant",
    "gesang",
    "canto",
)
COMMONS = (
    "bach_chorales",
    "monteverdi",
    "openscore_lieder",
    "openscore_string_quartets",
    "ryans_mammoth",
    "trecento",
)
_STYLES = tuple(CORPORA[corpus].style for corpus in COMMONS)

add_task("openscore_lieder_accompany", "openscore_lieder", Accompany("lied", "remi", part=SINGERS, bars=6))
add_task(
    "openscore_string_quartets_accompany",
    "openscore_string_quartets",
    Accompany("quartet", "remi", part=("violin 1",), bars=4),
)
add_task("openscore_lieder_chords", "openscore_lieder", NameChords("lied", "remi", part=SINGERS, beats=False))
add_task("commons_style", COMMONS, ClassifyStyle("style", tuple(sorted(_STYLES)), "remi", WORDS, 4, COMMONS, _STYLES))

SHARES = {
    "openscore_lieder_span_corruption": 7,
    "openscore_string_quartets_span_corruption": 6,
    "bach_chorales_span_corruption": 2,
    "monteverdi_span_corruption": 2,
    "ryans_mammoth_span_corruption": 2,
    "trecento_span_corruption": 1,
    "openscore_lieder_continue": 12,
    "openscore_string_quartets_continue": 10,
    "bach_chorales_continue": 6,
    "monteverdi_continue": 3,
    "ryans_mammoth_continue": 3,
    "trecento_continue": 2,
    "openscore_lieder_infill": 5,
    "openscore_string_quartets_infill": 4,
    "bach_chorales_infill": 2,
    "monteverdi_infill": 1,
    "ryans_mammoth_infill": 1,
    "trecento_infill": 1,
    "openscore_lieder_improvise": 1,
    "openscore_string_quartets_improvise": 1,
    "bach_chorales_improvise": 1,
    "ryans_mammoth_improvise": 1,
    "openscore_lieder_accompany": 10,
    "openscore_string_quartets_accompany": 5,
    "bach_chorales_accompany": 7,
    "classify_composer": 2,
    "commons_style": 1,
    "ryans_mammoth_meter": 1,
    "bach_chorales_chords": 4,
    "openscore_lieder_chords": 3,
    "bach_chorales_key": 1,
    "openscore_lieder_key": 1,
    "ryans_mammoth_key": 1,
}
add_mixture("commons", {task: Constant(share) for task, share in SHARES.items()})
