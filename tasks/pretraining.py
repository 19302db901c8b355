"""Pre-training tasks: music alone, by every objective of T5's study.

They are called `<corpus>_<objective>`, `<corpus>_performance_<objective>` and `<corpus>_satb_<objective>`.

| objective | T5's (Raffel et al. 2019, section 3.3) |
|---|---|
| `span_corruption` | the baseline here as there: 15 % of the tokens, spans of 3 on average |
| `span_corruption_L_R` | L `iid`, 2, 3, 5 or 10; R 10, 15, 25 or 50 %. `iid_15`: "replace corrupted spans" |
| `drop` | "drop corrupted tokens" |
| `mask_in_place` | "MASS-style" |
| `bert` | "BERT-style" |
| `deshuffle` | "deshuffling" |
| `prefix_lm` | "prefix language modeling" |
| `language_model` | a language model: nothing in the inputs |

The corpora of many instruments also become music for the NES, by LakhNES's adapter: `<corpus>_nes_language_model` and
`<corpus>_nes_span_corruption`. `<corpus>_span_corruption_apart` leaves out the pieces that are held out in the corpora
of the mixture `downstream`, and whatever opens like them; it needs those corpora built. `_small_apart` does so for
`small_downstream`.

`{small,medium,paper}_{classical,jazz,pop}_performances` are language models for the study of that chain (Lin 2022).

Music of the NES is there in whole songs as well, to evaluate on: `<corpus>_songs` (`nes_songs` for NES-MDB in TX1).
"""

from t5music.corpora.sources import synthetic
from t5music.data.declaration import add_task
from t5music.data.examples import Ensembles, Pieces, Songs, Texts
from t5music.data.objectives import IidDenoising, Objective, SpanCorruption
from t5music.data.objectives.language_model import Deshuffle, LanguageModel, PrefixLM, SelectRandomChunk
from t5music.tasks.corpus_styles import DOWNSTREAM, MULTITRACK, SMALL_DOWNSTREAM, forms

SPAN_CORRUPTION = (SelectRandomChunk(), SpanCorruption(noise_density=0.15, mean_span_length=3.0))
SPAN_LENGTHS = (2, 3, 5, 10)
RATES = (10, 15, 25, 50)  # per cent

_STEPS: dict[str, Objective] = {
    **{f"span_corruption_iid_{rate}": IidDenoising(rate / 100, "replace_spans") for rate in RATES},
    **{
        f"span_corruption_{length}_{rate}": SpanCorruption(rate / 100, float(length))
        for length in SPAN_LENGTHS
        for rate in RATES
        if (length, rate) != (3, 15)
    },
    **{style: IidDenoising(0.15, style) for style in ("drop", "mask_in_place", "bert")},
    **{step.name: step for step in (Deshuffle(), PrefixLM(), LanguageModel())},
}
OBJECTIVES: dict[str, tuple[Objective, ...]] = {
    "span_corruption": SPAN_CORRUPTION,
    **{name: (SelectRandomChunk(), step) for name, step in _STEPS.items()},
}
# For a language model of classical, jazz and pop: the classical corpus, and the words of a segment, twice those of a
# row, so that its cut is free and half of a test set is looked at. Music Transformer's rows have 2,048.
PERFORMANCES = {
    "small": ("piano_e_competition", 1024),
    "medium": ("piano_e_competition", 1024),
    "paper": ("maestro", 4096),
}

for _name, _corpus, _, _encoding in forms():
    for _objective, _steps in OBJECTIVES.items():
        add_task(f"{_name}_{_objective}", _corpus, Pieces(_encoding), _steps)
    for _suffix, _held_out in (("apart", DOWNSTREAM), ("small_apart", SMALL_DOWNSTREAM)):
        add_task(
            f"{_name}_span_corruption_{_suffix}", _corpus, Pieces(_encoding), SPAN_CORRUPTION, apart_from=_held_out
        )

for _scale, (_classical, _words) in PERFORMANCES.items():
    for _style, _corpus in (("classical", _classical), ("jazz", "jazz_piano"), ("pop", "pop909")):
        _music = Pieces("performance", _words)
        add_task(f"{_scale}_{_style}_performances", _corpus, _music, OBJECTIVES["language_model"])

for _name, _corpus, _, _encoding in forms():
    if _encoding == Songs.encoding:
        add_task("nes_songs" if _corpus == "nes_mdb_tx1" else f"{_name}_songs", _corpus, Songs())

for _corpus in MULTITRACK:
    for _objective in ("language_model", "span_corruption"):
        add_task(f"{_corpus}_nes_{_objective}", _corpus, Ensembles(), OBJECTIVES[_objective])

for _language in synthetic.CORPORA:
    for _objective in ("language_model", "span_corruption"):
        add_task(f"{_language.name}_{_objective}", _language.name, Texts(synthetic.ENCODING), OBJECTIVES[_objective])
