"""The five published experiments against what the published implementation computes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from emgpose.models.published import PUBLISHED_EXPERIMENTS
from golden_weights import golden_facts, golden_model


@pytest.mark.parametrize("experiment", PUBLISHED_EXPERIMENTS)
def test_predicts_what_the_published_implementation_predicts(experiment: str, golden: Path, tmp_path: Path) -> None:
    facts = golden_facts(experiment)
    with np.load(golden / "models.npz") as arrays:
        emg, initial_pose, expected, tail = (
            arrays[f"{experiment}__{key}"] for key in ("emg", "initial_pose", "prediction", "prediction_tail")
        )
    model = golden_model(experiment, tmp_path)
    with torch.inference_mode():
        predicted = model.rollout(torch.from_numpy(emg.astype(np.float32)), torch.from_numpy(initial_pose)).numpy()

    assert model.left_context == facts["left_context"]
    assert (model.task == "tracking") == facts["provide_initial_pos"]
    assert predicted.shape == (2, 20, facts["input_samples"] - facts["left_context"])
    tolerance = min(1e-5, 1e-4 * np.abs(expected).max())
    np.testing.assert_allclose(predicted[..., ::10], expected, rtol=0, atol=tolerance)
    np.testing.assert_allclose(predicted[..., -25:], tail, rtol=0, atol=tolerance)

    one = model.predict(emg[0].T.astype(np.float32), initial_pose[0])
    np.testing.assert_allclose(one[-25:].T, tail[0], rtol=0, atol=tolerance)
