"""Mixtures of the declared tasks, by the families of T5's study (Raffel et al. 2019, section 3.5), on music.

| mixture | of |
|---|---|
| `pretrain_<family>` | `<corpus>_span_corruption` of the corpora of a kind: see FAMILIES |
| `pretrain_<family>_apart` | the same without what `downstream` holds out |
| `downstream` | eight tasks: composer, emotion, genre, melody, velocity, continue, infill, accompany |
| `downstream_without_<task>` | seven of them |
| `multitask_<family>`, `multitask_<family>_without_<task>` | `pretrain_<family>_apart` and the downstream tasks |
| `continue_everything`, `infill_everything`, `accompany_everything` | one task over corpora of all styles |

A name alone is examples-proportional without a limit. To those with more than one member add

| | rates |
|---|---|
| `_equal` | all alike |
| `_k16` .. `_k21` | examples-proportional, K = 2^16 .. 2^21, as T5's study has them |
| `_t2`, `_t4`, `_t8` | temperature 2, 4, 8, with K = 2^21 as there |

Music has fewer examples than T5's text: any other K is `train.rate = @Proportional()` and `Proportional.maximum = 4096`
in gin, which holds for all the tasks of a mixture.
"""

from collections.abc import Mapping, Sequence

import seqio

from t5music.data.mixing import EQUAL, Proportional, Rate
from t5music.tasks import generation, pretraining, understanding  # noqa: F401  (they register the tasks)

# The names of the tasks before `_span_corruption`; no two corpora of a family hold the same files.
FAMILIES: dict[str, tuple[str, ...]] = {
    "multitrack": ("lakh_full",),
    "classical_piano": ("maestro_performance", "asap_performance", "giantmidi_performance"),
    "popular_piano": ("adl_piano", "pop909", "emopia", "pianist8", "jazz_piano"),
    "games": ("nes_mdb_tx1", "vgmidi"),
    "chorales": ("jsb_chorales", "monteverdi", "trecento"),
    "folk": ("nottingham", "ryans_mammoth"),
}
FAMILIES["all"] = tuple(name for family in FAMILIES.values() for name in family)

DOWNSTREAM: dict[str, str] = {
    "composer": "pianist8_composer",
    "emotion": "emopia_emotion",
    "genre": "adl_piano_genre",
    "melody": "pop909_melody",
    "velocity": "pop909_velocity",
    "continue": "pop909_continue",
    "infill": "pop909_infill",
    "accompany": "jsb_chorales_accompany",
}

_T5_LIMIT = 2**21
RATES: dict[str, Rate] = {
    "": Proportional(),
    "_equal": EQUAL,
    **{f"_k{power}": Proportional(maximum=2**power) for power in range(16, 22)},
    **{f"_t{temperature}": Proportional(_T5_LIMIT, float(temperature)) for temperature in (2, 4, 8)},
}


def declare(name: str, tasks: Sequence[str], rates: Mapping[str, Rate] = RATES) -> None:
    """Declares a mixture, and one more for each further rate where there is anything to mix."""
    for suffix, rate in rates.items():
        if len(tasks) > 1 or not suffix:
            seqio.MixtureRegistry.add(name + suffix, list(tasks), default_rate=rate)


def declare_without_one(name: str, more: Sequence[str] = ()) -> None:
    """Declares the downstream tasks with `more`, at every rate, and the same without each one of them."""
    declare(name, [*more, *DOWNSTREAM.values()])
    for left_out in DOWNSTREAM:
        rest = [task for label, task in DOWNSTREAM.items() if label != left_out]
        declare(f"{name}_without_{left_out}", [*more, *rest], {"": Proportional()})


# The quickstart pre-trains on vocal and folk music that is not Bach's, then fine-tunes on his chorales.
declare(
    "quickstart_pretrain",
    [f"{corpus}_span_corruption" for corpus in ("monteverdi", "ryans_mammoth", "trecento")],
    {"": Proportional()},
)
declare(
    "quickstart_finetune",
    ["bach_chorales_continue", "bach_chorales_accompany", "classify_composer"],
    {"": EQUAL},
)

declare_without_one("downstream")
for _family, _members in FAMILIES.items():
    declare(f"pretrain_{_family}", [f"{member}_span_corruption" for member in _members])
    _apart = [f"{member}_span_corruption_apart" for member in _members]
    declare(f"pretrain_{_family}_apart", _apart)
    declare_without_one(f"multitask_{_family}", _apart)

for _kind in ("continue", "infill"):
    _begins = ["nes" if member == "nes_mdb_tx1" else member for member in FAMILIES["all"]]
    declare(f"{_kind}_everything", [f"{begin}_{_kind}" for begin in _begins])
declare("accompany_everything", [f"{corpus}_accompany" for corpus in ("jsb_chorales", "nottingham", "pop909")])
