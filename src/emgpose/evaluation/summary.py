"""From window scores to one figure per condition, in the two ways that are in use.

`per_user`: the mean of a user's windows, then mean and SD (ddof = 1) over users. `pooled`: the published script's,
which takes the mean of batches of 32 windows in the order of the data set and weighs them by their size.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emgpose.evaluation.published import CONDITION_TITLES
from emgpose.evaluation.result import ALL, Evaluation
from emgpose.evaluation.scoring import WINDOW_METRIC_UNITS
from emgpose.evaluation.totals import DRIFT_BIN_SAMPLES, GROUP_METRIC_UNITS, Totals, merged
from emgpose.metrics import HISTOGRAM_WIDTH_RAD

PUBLISHED_BATCH = 32
# Bins of 0.1 degree between two rows of the error CDF.
CDF_BINS = 10
SUMMARY_COLUMNS = ("condition", "metric", "reduction", "mean", "sd", "n_users", "n_windows")
SUMMARY_UNITS = WINDOW_METRIC_UNITS | GROUP_METRIC_UNITS


def conditions_of(evaluation: Evaluation) -> list[str]:
    """Conditions with a score: U, S, US first, then others by name, then `all`."""
    present = set(evaluation.windows["condition"])
    known = [condition for condition in CONDITION_TITLES if condition in present]
    return [*known, *sorted(present - set(known)), ALL]


def summarise(evaluation: Evaluation, mode: str | None = None) -> pd.DataFrame:
    """Reduce the windows of one mode.

    Parameters
    ----------
    evaluation : Evaluation
    mode : str, optional
        The primary mode by default.

    Returns
    -------
    DataFrame with the columns condition, metric, reduction, mean, sd, n_users, n_windows
        Radians and millimetres. `pooled` has no sd. Error percentiles and R2 are taken over all samples of a user
        (`per_user`) or of the condition (`pooled`), not over windows; R2 leaves out joints that did not move.
    """
    mode = evaluation.modes[0] if mode is None else mode
    windows = evaluation.windows[evaluation.windows["mode"] == mode]
    rows: list[tuple[object, ...]] = []
    for condition in conditions_of(evaluation):
        chosen = windows if condition == ALL else windows[windows["condition"] == condition]
        sizes = (chosen["user"].nunique(), len(chosen))
        for metric, reduction, mean, sd in _figures(chosen, _totals_by_user(evaluation, mode, condition)):
            rows.append((condition, metric, reduction, mean, sd, *sizes))
    return pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS))


def _figures(windows: pd.DataFrame, totals: dict[str, Totals]) -> Iterator[tuple[str, str, float, float]]:
    """Metric, reduction, mean and SD of the windows of a condition."""
    metrics = list(WINDOW_METRIC_UNITS)
    per_user = windows.groupby("user")[metrics].mean()
    pooled = pooled_means(windows, metrics)
    groups = pd.DataFrame([total.group_metrics() for total in totals.values()])
    of_all = merged(list(totals.values())).group_metrics()
    for table, whole in ((per_user, pooled), (groups, of_all)):
        for metric in table.columns:
            yield metric, "per_user", float(table[metric].mean()), float(table[metric].std(ddof=1))
            yield metric, "pooled", float(whole[metric]), float("nan")


def pooled_means(windows: pd.DataFrame, metrics: Sequence[str]) -> dict[str, float]:
    """Mean of each metric as the published script takes it.

    The mean of a batch is over its valid samples, and batches are weighted by their number of windows.

    Parameters
    ----------
    windows : DataFrame
        In the order of the data set, with the column n_valid.
    metrics : sequence of str
    """
    values = windows[list(metrics)].to_numpy(dtype=np.float64)
    weights = windows["n_valid"].to_numpy(dtype=np.float64)[:, np.newaxis]
    total = np.zeros(len(metrics))
    for start in range(0, len(values), PUBLISHED_BATCH):
        batch, weight = values[start : start + PUBLISHED_BATCH], weights[start : start + PUBLISHED_BATCH]
        total += len(batch) * (batch * weight).sum(axis=0) / weight.sum()
    return dict(zip(metrics, (total / len(values)).tolist(), strict=True))


def _totals_by_user(evaluation: Evaluation, mode: str, condition: str) -> dict[str, Totals]:
    parts: dict[str, list[Totals]] = {}
    for (of_mode, of_condition, user), totals in evaluation.totals.items():
        if of_mode == mode and condition in (ALL, of_condition):
            parts.setdefault(user, []).append(totals)
    return {user: merged(totals) for user, totals in parts.items()}


def drift_table(evaluation: Evaluation) -> pd.DataFrame:
    """Error against time since the start of the scored span of a window, in bins of half a second, for every mode.

    Returns
    -------
    DataFrame with the columns condition, mode, start_s, stop_s, mae, sd, static_mae, n_users
        Mean and SD (ddof = 1) over users [rad]; `static_mae` is the static hand's.
    """
    rate_hz = evaluation.model.sample_rate_hz
    rows = []
    for condition in conditions_of(evaluation):
        for mode in evaluation.modes:
            users = list(_totals_by_user(evaluation, mode, condition).values())
            counts = np.stack([user.drift_count for user in users])
            model, static = (
                np.stack([getattr(user, name) for user in users]) / np.maximum(counts, 1)
                for name in ("drift", "static_drift")
            )
            for time in range(counts.shape[1]):
                seen = counts[:, time] > 0
                errors = pd.Series(model[seen, time])
                rows.append(
                    {
                        "condition": condition,
                        "mode": mode,
                        "start_s": time * DRIFT_BIN_SAMPLES / rate_hz,
                        "stop_s": (time + 1) * DRIFT_BIN_SAMPLES / rate_hz,
                        "mae": errors.mean(),
                        "sd": errors.std(ddof=1),
                        "static_mae": static[seen, time].mean(),
                        "n_users": int(seen.sum()),
                    }
                )
    return pd.DataFrame(rows)


def cdf_table(evaluation: Evaluation) -> pd.DataFrame:
    """Share of the errors of single samples and joints that are at most so large, in steps of one degree.

    Returns
    -------
    DataFrame with the columns condition, mode, error_rad, share, static_share, n_users
        Mean over users of each user's share, for the model and for the static hand; up to where both reach 1.
    """
    tables = []
    for condition in conditions_of(evaluation):
        for mode in evaluation.modes:
            users = list(_totals_by_user(evaluation, mode, condition).values())
            shares = [
                _shares(np.stack([getattr(user, name) for user in users])) for name in ("histogram", "static_histogram")
            ]
            # One row past the first at which both are complete adds nothing.
            n_rows = 1 + int(np.argmax(np.minimum(*shares) >= 1 - 1e-12))
            columns = {
                "condition": condition,
                "mode": mode,
                "error_rad": np.arange(n_rows) * CDF_BINS * HISTOGRAM_WIDTH_RAD,
                "share": shares[0][:n_rows],
                "static_share": shares[1][:n_rows],
                "n_users": len(users),
            }
            tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def _shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean over users of the cumulative share at every tenth edge of the histogram's bins, from 0 on."""
    reached = np.cumsum(counts, axis=1)[:, CDF_BINS - 1 :: CDF_BINS]
    return np.concatenate([[0.0], (reached / np.maximum(reached[:, -1:], 1)).mean(axis=0)])


def figure(summary: pd.DataFrame, condition: str, metric: str, reduction: str = "per_user") -> tuple[float, float]:
    """Mean and SD of one row of a summary; NaN where there is none."""
    row = summary[
        (summary["condition"] == condition) & (summary["metric"] == metric) & (summary["reduction"] == reduction)
    ]
    return (float("nan"), float("nan")) if row.empty else (float(row["mean"].iloc[0]), float(row["sd"].iloc[0]))
