"""Interpolation by index arithmetic against torch's own."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from emgpose.models.resampling import StreamPlacing, align_centres, align_corners, blend, blend_rows


@pytest.mark.parametrize(
    ("n_in", "n_out"), [(1, 1), (1, 7), (5, 1), (125, 250), (250, 10_000), (3840, 4000), (307, 11_003)]
)
def test_equals_torch_in_both_alignments(n_in: int, n_out: int) -> None:
    frames = torch.randn((2, 3, n_in), generator=torch.Generator().manual_seed(n_in))
    outputs = np.arange(n_out)
    for aligned, place in ((True, align_corners), (False, align_centres)):
        expected = functional.interpolate(frames, n_out, mode="linear", align_corners=aligned)
        torch.testing.assert_close(blend(frames, place(outputs, n_in, n_out)), expected, rtol=0, atol=1e-6)


def test_a_part_equals_the_same_part_of_the_whole() -> None:
    frames = torch.randn((1, 2, 90), generator=torch.Generator().manual_seed(0))
    whole = blend(frames, align_centres(np.arange(1_000), 90, 1_000))
    part = align_centres(np.arange(400, 500), 90, 1_000)
    needed = frames[..., part.span]
    assert torch.equal(blend(needed, part, part.span.start), whole[..., 400:500])
    rows = blend_rows(needed[0].T.numpy(), part, part.span.start)
    np.testing.assert_allclose(rows, whole[0, :, 400:500].T, atol=1e-6)


def test_a_held_pose_stands_from_its_sample_to_the_next() -> None:
    placed = StreamPlacing(stride=40)(np.array([0, 39, 40, 119]))
    np.testing.assert_array_equal(placed.upper, [1, 1, 2, 3])
    np.testing.assert_array_equal(placed.lower, placed.upper)


def test_linear_poses_come_one_step_late_after_the_initial_pose() -> None:
    placed = StreamPlacing(stride=40, delay=40, is_linear=True)(np.array([0, 39, 40, 60, 80]))
    np.testing.assert_array_equal(placed.lower, [0, 0, 0, 0, 1])
    np.testing.assert_array_equal(placed.upper, [0, 0, 1, 1, 2])
    np.testing.assert_allclose(placed.weight[2:], [0, 0.5, 0])
