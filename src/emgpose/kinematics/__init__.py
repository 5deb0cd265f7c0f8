"""Hands: their geometry, and where the 21 landmarks and the skin lie for given joint angles."""

from emgpose.kinematics.hand_model import BONES, HandModel, forward_kinematics
from emgpose.kinematics.proportions import SEGMENTS

__all__ = ["BONES", "SEGMENTS", "HandModel", "forward_kinematics"]
