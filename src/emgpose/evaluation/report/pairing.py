"""Two runs compared on what both scored: paired differences with bootstrap intervals over users.

The unit is a user in a condition, over the recordings that both runs scored. Whatever only one of them scored is named.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import pandas as pd

from emgpose.evaluation.report.bootstrap import Difference, paired_difference
from emgpose.evaluation.report.run_folder import EvaluationRun, ordered_conditions
from emgpose.evaluation.result import ALL

# Why a recording has no partner, widest first, and what the report calls them. A unit is a user in a condition.
REASONS: Final = {"condition": "conditions", "user": "users", "unit": "users in a condition", "recording": "recordings"}


@dataclass(frozen=True)
class Comparison:
    """One run beside the reference run.

    Parameters
    ----------
    reference, other : EvaluationRun
    differences : dict of condition -> Difference
        Of the mean joint-angle error [rad].
    unpaired : DataFrame with the columns run, reason, condition, user, recording, n_windows
        Windows that only one of the two has.
    n_paired_windows : tuple of int
        Windows compared, of the reference and of the other.
    caveats : tuple of str
        Why the difference may not be the models' alone.
    """

    reference: EvaluationRun
    other: EvaluationRun
    differences: dict[str, Difference]
    unpaired: pd.DataFrame
    n_paired_windows: tuple[int, int]
    caveats: tuple[str, ...]

    @property
    def name(self) -> str:
        """Such as `B - A`."""
        return f"{self.other.letter} − {self.reference.letter}"


def compare(reference: EvaluationRun, other: EvaluationRun) -> Comparison:
    """Compare the primary modes of two runs on the recordings that both scored."""
    first, second = (_with_keys(run.primary_windows()) for run in (reference, other))
    unpaired = pd.concat(
        [_only_in(first, second, reference.letter), _only_in(second, first, other.letter)], ignore_index=True
    )
    common = set(first["key"]) & set(second["key"])
    first, second = (table[table["key"].isin(common)] for table in (first, second))
    differences: dict[str, Difference] = {}
    if common:
        groups, others = (table.groupby(["condition", "user"]) for table in (first, second))
        differences = _by_condition(groups["mae"].mean(), others["mae"].mean(), groups.size())
    sizes = (len(first), len(second))
    caveats = tuple(_caveats(reference, other, sizes, unpaired))
    return Comparison(reference, other, differences, unpaired, sizes, caveats)


def against_static(run: EvaluationRun) -> dict[str, Difference]:
    """Compare a run with its own static hand, which was scored on the same windows; by condition [rad]."""
    groups = run.primary_windows().groupby(["condition", "user"])
    return _by_condition(groups["static_mae"].mean(), groups["mae"].mean(), groups.size())


def _by_condition(
    reference: "pd.Series[float]", other: "pd.Series[float]", sizes: "pd.Series[int]"
) -> dict[str, Difference]:
    """Compare scores by condition and user, and then by user over all conditions.

    For `all`, a user's conditions weigh as the reference has windows of them, in both runs, so that the difference is
    the models' and not that of unequal shares.
    """
    found = {}
    for condition in ordered_conditions(pd.Series(reference.index.get_level_values("condition"))):
        if condition != ALL:
            pair = [units.xs(condition, level="condition") for units in (reference, other)]
            found[condition] = paired_difference(pair[0], pair[1])
            continue
        weights = sizes / sizes.groupby("user").transform("sum")
        pair = [(units * weights).groupby("user").sum() for units in (reference, other)]
        found[condition] = paired_difference(pair[0], pair[1])
    return found


def _with_keys(windows: pd.DataFrame) -> pd.DataFrame:
    """Name each window's recording in a way that two runs share; a recording in two conditions is two."""
    recording = windows["session"] + " " + windows["side"]
    key = windows["condition"] + "\n" + windows["user"] + "\n" + recording
    return windows.assign(recording=recording, key=key)


def _only_in(windows: pd.DataFrame, others: pd.DataFrame, letter: str) -> pd.DataFrame:
    """Recordings that the other run did not score, each with the widest reason."""
    left = windows[~windows["key"].isin(others["key"])]
    counts = left.groupby(["condition", "user", "recording"], as_index=False).size()
    units = set(zip(others["condition"], others["user"], strict=True))
    conditions, users = set(others["condition"]), set(others["user"])

    def reason(condition: str, user: str) -> str:
        if condition not in conditions:
            return "condition"
        if user not in users:
            return "user"
        return "recording" if (condition, user) in units else "unit"

    reasons = [reason(condition, user) for condition, user in zip(counts["condition"], counts["user"], strict=True)]
    columns = ["run", "reason", "condition", "user", "recording", "n_windows"]
    table = counts.rename(columns={"size": "n_windows"}).assign(run=letter, reason=reasons)
    return table[columns]


def _caveats(
    reference: EvaluationRun, other: EvaluationRun, sizes: tuple[int, int], unpaired: pd.DataFrame
) -> list[str]:
    pair = f"{reference.letter} and {other.letter}"

    def both(fact: Callable[[EvaluationRun], object]) -> tuple[object, object]:
        return fact(reference), fact(other)

    facts = {
        "task": (both(lambda run: run.task), "tracking is given the true pose at the start, regression is not"),
        "causality": (both(lambda run: run.modes.get(run.mode)), "one sees EMG that the other does not"),
        "data": (both(lambda run: run.data_label), "their errors do not compare"),
        "left context [samples]": (
            both(lambda run: run.model.get("left_context")),
            "their windows cover different samples of the same recordings",
        ),
        "hand": (both(lambda run: run.document.get("hand", {}).get("name")), "landmark distances do not compare"),
    }
    found = [
        f"{pair} differ in {what} ({first} against {second}): {consequence}."
        for what, ((first, second), consequence) in facts.items()
        if first != second
    ]
    prints = both(lambda run: run.document["data"].get("fingerprint"))
    if unpaired.empty and prints[0] != prints[1]:
        found.append(
            f"{pair} scored recordings of the same names, but not the same samples (data fingerprints differ)."
        )
    if sizes[0] != sizes[1]:
        found.append(f"In the recordings that {pair} share, they have {sizes[0]} and {sizes[1]} windows.")
    return found
