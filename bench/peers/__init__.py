"""The same work in other libraries: ``make bench-peers`` times each of them in turn with fastdl.

``works`` is the table of what is compared, at which shapes; a module for each library says how that library does
it, and ``ours`` how fastdl does. ``compare`` times one peer inside the peer's own virtual environment, ``__main__``
makes the environments and starts it there.
"""

from typing import NamedTuple


class Peer(NamedTuple):
    """A library to compare with."""

    title: str
    module: str  # of this package
    distributions: tuple[str, ...]  # what a user installs
    import_statement: str


PEERS = {
    "pytorch": Peer("PyTorch", "pytorch", ("torch",), "import torch"),
    "jax": Peer("JAX", "jax_", ("jax", "optax"), "import jax, optax"),
    "keras": Peer("Keras", "keras_tf", ("keras", "tensorflow-cpu"), "import keras"),
    "thinc": Peer("thinc", "thinc_", ("thinc",), "import thinc.api"),
    "sklearn": Peer("scikit-learn", "sklearn_mlp", ("scikit-learn",), "import sklearn.neural_network"),
}
