"""Distances between predicted and recorded landmarks of the hand."""

from typing import Final

import torch
from torch import Tensor

from emgpose.hand import FINGERTIPS, SCORED_LANDMARKS
from emgpose.kinematics import HandModel, forward_kinematics
from emgpose.metrics.window_sums import Sums, check_windows, masked, mean

# Landmarks are scored at samples 0, 40, 80, ... of the scored span.
LANDMARK_STRIDE: Final = 40


def landmark_error(
    prediction: Tensor, target: Tensor, valid: Tensor, hand: HandModel, *, every: int = LANDMARK_STRIDE
) -> Sums:
    """Sum the distances between predicted and recorded landmarks.

    Parameters
    ----------
    prediction, target : Tensor, shape (window, joint=20, time) [rad]
    valid : bool Tensor, shape (window, time)
    hand : HandModel
        Unmirrored for both sides.
    every : int
        Samples between the poses compared, from sample 0 on; those without a valid label do not count.

    Returns
    -------
    total : Tensor, shape (window, landmark=21) [mm]
    count : Tensor, shape (window,)
        Poses compared.

    Raises
    ------
    ShapeError : the three do not fit together.
    """
    check_windows(prediction, valid, target)
    predicted, recorded = (scored_landmarks(angles, valid, hand, every=every) for angles in (prediction, target))
    return landmark_sums(predicted, recorded, valid[..., ::every])


def scored_landmarks(joint_angles: Tensor, valid: Tensor, hand: HandModel, *, every: int = LANDMARK_STRIDE) -> Tensor:
    """Place the landmarks that `landmark_error` compares.

    Parameters
    ----------
    joint_angles : Tensor, shape (window, joint=20, time) [rad]
    valid : bool Tensor, shape (window, time)
    hand : HandModel
    every : int

    Returns
    -------
    float64 Tensor, shape (window, pose, landmark=21, xyz=3) [mm]
        Of samples 0, `every`, 2 x `every`, ...; in the rest pose where there is no valid label.

    Raises
    ------
    ShapeError : the two do not fit together.
    """
    check_windows(joint_angles, valid)
    poses = joint_angles[..., ::every].double().transpose(-1, -2)
    # Invalid poses may hold anything; the rest pose in their place keeps the kinematics finite.
    return forward_kinematics(torch.where(valid[..., ::every].unsqueeze(-1), poses, 0.0), hand)


def landmark_sums(predicted: Tensor, recorded: Tensor, scored: Tensor) -> Sums:
    """Sum the distances of two `scored_landmarks`, as `landmark_error` does.

    Parameters
    ----------
    predicted, recorded : Tensor, shape (window, pose, landmark=21, xyz=3) [mm]
        Or a single pose for all.
    scored : bool Tensor, shape (window, pose)
    """
    # A norm over an axis of 3 takes many times as long.
    distance = (predicted - recorded).square_().sum(-1).sqrt_()
    return masked(distance.transpose(-1, -2), scored).sum(-1), scored.sum(-1)


def landmark_means(total: Tensor, count: Tensor) -> dict[str, Tensor]:
    """Landmark and fingertip distance from `landmark_error`.

    Returns
    -------
    dict of name -> Tensor, shape (window,) [mm]
        `landmark_distance` over the 17 landmarks that the published figure counts, `fingertip_distance` over 5.
    """
    landmarks = mean(total, count)
    return {
        "landmark_distance": landmarks[..., list(SCORED_LANDMARKS)].mean(-1),
        "fingertip_distance": landmarks[..., list(FINGERTIPS)].mean(-1),
    }
