"""Compare our hand with the UmeTrack hand in recorded poses: prints the figures of docs/decisions/005-our-own-hand.md.

python tools/compare_hands.py --umetrack generic_hand_model.json --angles joint_angle_predictions.csv --rate 29.968
"""

import argparse
from pathlib import Path

import numpy as np

from emgpose.hand import FINGERTIPS, SCORED_LANDMARKS
from emgpose.kinematics import HandModel, forward_kinematics
from emgpose.recording import open_session

TOUCHING_MM = 25.0


def main() -> None:
    """Print mean landmark distances, and how far thumb-to-finger gaps differ where UmeTrack's are small."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--umetrack", type=Path, required=True, help="UmeTrack hand model JSON")
    parser.add_argument("--angles", type=Path, required=True, help="recorded joint angles")
    parser.add_argument("--rate", type=float, help="their rate [Hz], where the file does not say it")
    options = parser.parse_args()
    with open_session(options.angles, rate_hz=options.rate) as session:
        poses = session.joint_angles()[session.valid()].astype(np.float64)
    theirs = forward_kinematics(poses, HandModel.load(options.umetrack))
    ours = forward_kinematics(poses)
    distance = np.linalg.norm(ours - theirs, axis=-1)
    print(f"{len(poses)} valid poses")
    print(
        f"mean landmark distance: {distance.mean():.1f} mm, scored ones {distance[:, SCORED_LANDMARKS].mean():.1f} mm"
    )
    thumb, *fingers = FINGERTIPS
    gaps = [np.linalg.norm(hand[:, fingers] - hand[:, [thumb]], axis=-1) for hand in (theirs, ours)]
    change = np.abs(gaps[1] - gaps[0])[gaps[0] < TOUCHING_MM]
    print(f"thumb within {TOUCHING_MM:g} mm of a fingertip: mean change of the gap {change.mean():.0f} mm")
    print(f"largest change of the gap {change.max():.0f} mm")


if __name__ == "__main__":
    main()
