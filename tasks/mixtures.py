"""Mixtures of the declared tasks."""

import seqio

from t5music.data.mixing import Proportional
from t5music.tasks import generation, pretraining, understanding  # noqa: F401  (they register the tasks)

# The quickstart pre-trains on vocal and folk music that is not Bach's, then fine-tunes on his chorales.
seqio.MixtureRegistry.add(
    "quickstart_pretrain",
    [f"{corpus}_span_corruption" for corpus in ("monteverdi", "ryans_mammoth", "trecento")],
    default_rate=Proportional(),
)
seqio.MixtureRegistry.add(
    "quickstart_finetune",
    ["bach_chorales_continue", "bach_chorales_accompany", "classify_composer"],
    default_rate=1.0,
)
