"""Music alone, by every objective of T5's study: `<corpus>_<objective>`, `<corpus>_performance_<objective>`.

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
of the mixture `downstream`, and whatever opens like them; it needs those corpora built.
"""

from t5music.data.examples import Ensembles, Pieces
from t5music.data.objectives import (
    Deshuffle,
    IidDenoising,
    LanguageModel,
    Objective,
    PrefixLM,
    SelectRandomChunk,
    SpanCorruption,
)
from t5music.data.seqio_tasks import add_task
from t5music.tasks.corpora import DOWNSTREAM, MULTITRACK, forms

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

for _name, _corpus, _, _encoding in forms():
    for _objective, _steps in OBJECTIVES.items():
        add_task(f"{_name}_{_objective}", _corpus, Pieces(_encoding), _steps)
    add_task(f"{_name}_span_corruption_apart", _corpus, Pieces(_encoding), SPAN_CORRUPTION, apart_from=DOWNSTREAM)

for _corpus in MULTITRACK:
    for _objective in ("language_model", "span_corruption"):
        add_task(f"{_corpus}_nes_{_objective}", _corpus, Ensembles(), OBJECTIVES[_objective])
