"""One stream at a time, without gradients: the hop of a live stream, and the steps of a rollout, in numpy.

A hop is many small operations and products with a vector. torch spends more on each than the work itself takes, most
of all every 20 ms, when its code has left the caches; numpy's own products with a vector are faster besides
(benchmarks/NOTES.md). The numbers are those of the torch modules, rounding aside, and so is the state.
"""

from emgpose.models.in_numpy.hops import NumpyHops
from emgpose.models.in_numpy.path import (
    NumpyRollout,
    array_of_rows,
    has_one_thread,
    may_run_in_numpy,
    no_overflow,
    prepare_for_hops,
    prepared_for,
    rollout_of,
    tensor_of_rows,
)

__all__ = [
    "NumpyHops",
    "NumpyRollout",
    "array_of_rows",
    "has_one_thread",
    "may_run_in_numpy",
    "no_overflow",
    "prepare_for_hops",
    "prepared_for",
    "rollout_of",
    "tensor_of_rows",
]
