"""What the demo's models must reach, and how their scores are judged: in pairs, over users that no training saw."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from emgpose.evaluation.report import Difference, paired_difference

MIN_USERS = 6
CONDITIONS = {"seen": "seen", "user": "U", "stage": "S", "user_stage": "US"}
"""Conditions of the test split, and what tables call them."""
STATIC_HANDS = {"tracking": "the held initial pose", "regression": "the median hand"}
STATIC_LABELS = {
    "tracking": ("static_initial_pose",),
    "regression": ("static_median_checkpoint", "static_median_train"),
}


@dataclass(frozen=True)
class Goal:
    """A model must err so much less [%] than a hand that does not move, on people that it does not know."""

    task: str
    condition: str
    least_percent: float


GOALS = (Goal("tracking", "user", 10), Goal("tracking", "user_stage", 10), Goal("regression", "user", 5))


@dataclass(frozen=True)
class Verdict:
    """How a model did on a goal.

    Parameters
    ----------
    goal : Goal
    difference : Difference
        Model minus static hand [rad].
    trained_on : tuple of str
        Users scored that the training had seen, though they should be held out.
    static_label : str
        Which hand it was compared with.
    """

    goal: Goal
    difference: Difference
    trained_on: tuple[str, ...]
    static_label: str

    @property
    def below_percent(self) -> tuple[float, float, float]:
        """How far the model is below the static hand, and the 95 % interval of that."""
        # A fall is a negative change, so the interval's ends change places; 0 - x, because -0.0 would be shown as such.
        change = self.difference
        return 0 - change.percent, 0 - change.percent_high, 0 - change.percent_low

    @property
    def faults(self) -> list[str]:
        """Why the goal is missed; empty if it is met."""
        faults = []
        below, low, _ = self.below_percent
        # Written so that NaN, which is no number, is a fault.
        if not below >= self.goal.least_percent:
            faults.append("too little")
        if not low > 0:
            faults.append("no interval above 0")
        if self.difference.n_users < MIN_USERS:
            faults.append(f"fewer than {MIN_USERS} users")
        if self.trained_on:
            faults.append(f"the training saw {', '.join(self.trained_on)}")
        if self.static_label not in STATIC_LABELS[self.goal.task]:
            faults.append(f"compared with {self.static_label}")
        return faults

    @property
    def is_met(self) -> bool:
        """Whether the model did what was asked."""
        return not self.faults

    def __str__(self) -> str:
        below, low, high = self.below_percent
        goal, n_users = self.goal, self.difference.n_users
        against = f"{abs(below):.1f} % {'above' if below < 0 else 'below'} {STATIC_HANDS[goal.task]}"
        interval = f"95 % interval {low:.1f} to {high:.1f} %" if n_users > 1 else "no interval"
        asked = f"asked: at least {goal.least_percent:g} % below"
        lines = [
            f"{'met' if self.is_met else 'MISSED':8}{goal.task} on {CONDITIONS[goal.condition]}: {against}; {asked}",
            f"{'':8}{interval}, paired over {n_users} held-out user{'' if n_users == 1 else 's'}",
        ]
        return "\n".join(lines if self.is_met else [*lines, f"{'':8}missed for: {'; '.join(self.faults)}"])


def judge(goal: Goal, windows: pd.DataFrame, static_label: str, trained_users: Iterable[str]) -> Verdict:
    """Compare a model with the static hand on the same windows, each user's mean with the same user's.

    Parameters
    ----------
    goal : Goal
    windows : DataFrame with the columns condition, user, mae, static_mae [rad]
    static_label : str
        What run.json calls the static hand.
    trained_users : iterable of str
    """
    chosen = windows[windows["condition"] == goal.condition]
    of_user = chosen.groupby("user")[["mae", "static_mae"]].mean()
    difference = paired_difference(of_user["static_mae"], of_user["mae"])
    return Verdict(goal, difference, tuple(sorted(set(of_user.index) & set(trained_users))), static_label)


def score_table(windows_of_task: dict[str, pd.DataFrame]) -> list[list[str]]:
    """Rows of a table: the mean angle error [deg] of each model and its static hand, mean over users.

    Parameters
    ----------
    windows_of_task : dict of task -> DataFrame with the columns condition, user, mae, static_mae [rad]
    """
    rows = [["mean joint-angle error [deg]", *CONDITIONS.values()]]
    for task, windows in windows_of_task.items():
        means = windows.groupby(["condition", "user"])[["mae", "static_mae"]].mean().groupby("condition").mean()
        degrees = np.degrees(means.reindex(list(CONDITIONS)))
        for name, column in ((f"{task} model", "mae"), (STATIC_HANDS[task], "static_mae")):
            rows.append([name, *("-" if np.isnan(error) else f"{error:.1f}" for error in degrees[column])])
    return rows
