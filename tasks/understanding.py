"""Labels from music."""

from t5music.data.corpora.catalogue import CATALOGUE
from t5music.data.examples import Classify
from t5music.data.seqio_tasks import add_task

CORPORA = ("bach_chorales", "monteverdi", "ryans_mammoth", "trecento")

add_task(
    "classify_composer",
    CORPORA,
    Classify("composer", CATALOGUE["bach_chorales"].labels["composer"], "remi", words=192, segments=2),
)
