"""Compare simulated movement with recorded joint angles: prints the tables of docs/simulator.md and writes the plots.

    python benchmarks/simulator_motion_figures.py --real ../shared/real/emg2pose_angles/joint_angle_predictions.csv \
        --rate 29.968 --out figures

Real: one session of the stage CountingUpDownFaceSideAway (emg2pose, Salter et al. 2024), 58.6 s, one person. Simulated:
the same stage, length and frame rate by 20 people; then every stage by 5.
"""

import argparse
import time
from pathlib import Path

import matplotlib
import numpy as np

from emgpose.hand import FINGERS, JOINTS, LANDMARK_INDEX
from emgpose.kinematics import HandModel
from emgpose.recording import open_session
from emgpose.simulation.hand_poses import POSES
from emgpose.simulation.motion import (
    STAGE_FAMILIES,
    Motion,
    MotionStatistics,
    draw_style,
    motion_statistics,
    recorded_motion,
    simulate_motion,
)
from emgpose.simulation.streams import rng_for

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.collections import PolyCollection

STAGE = "CountingUpDownFaceSideAway"
N_USERS = 20
N_USERS_PER_STAGE = 5
SECONDS = 58.6


def performed(stage: str, user: int) -> Motion:
    style = draw_style(rng_for(0, "user", user, "style"))
    return simulate_motion(stage, style, SECONDS, rng_for(0, "motion", user, stage))


def degrees_between(values: list[float]) -> str:
    return f"{np.degrees(np.mean(values)):.0f} ({np.degrees(min(values)):.0f} to {np.degrees(max(values)):.0f})"


def print_comparison(real: MotionStatistics, people: list[MotionStatistics]) -> None:
    print(f"\nStage {STAGE}: real, and the mean over {len(people)} simulated people (least to most)\n")
    print("| | real | simulated |\n|---|---|---|")
    for n in (1, 2, 3, 4, 6, 8):
        shares = [100 * each.explained[n - 1] for each in people]
        spread = f"{np.mean(shares):.1f} ({min(shares):.1f} to {max(shares):.1f})"
        print(f"| variance in {n} principal component(s) [%] | {100 * real.explained[n - 1]:.1f} | {spread} |")
    for percent, value in real.speed_rad_s.items():
        spread = degrees_between([each.speed_rad_s[percent] for each in people])
        print(f"| joint speed, {percent}th percentile [deg/s] | {np.degrees(value):.0f} | {spread} |")
    spread = degrees_between([float(each.range_rad.mean()) for each in people])
    print(f"| range, mean over joints [deg] | {np.degrees(real.range_rad.mean()):.0f} | {spread} |")
    mean_gap = np.degrees(np.mean([np.abs(each.mean_rad - real.mean_rad).mean() for each in people]))
    print(f"| mean pose, mean distance per joint [deg] | | {mean_gap:.0f} |")
    print("\n| joint [deg] | real: 1 to 99 %, mean, SD | simulated |\n|---|---|---|")
    for j, joint in enumerate(JOINTS):
        ours = [np.mean([each.low_rad[j] for each in people]), np.mean([each.high_rad[j] for each in people])]
        ours += [np.mean([each.mean_rad[j] for each in people]), np.mean([each.sd_rad[j] for each in people])]
        theirs = [real.low_rad[j], real.high_rad[j], real.mean_rad[j], real.sd_rad[j]]
        texts = ["{:.0f} to {:.0f}, {:.0f}, {:.0f}".format(*np.degrees(each)) for each in (theirs, ours)]
        print(f"| {joint} | {texts[0]} | {texts[1]} |")


def print_stages(rate_hz: float) -> None:
    print(f"\nAll stages, mean over {N_USERS_PER_STAGE} simulated people\n")
    print("| stage | speed 50, 95 % [deg/s] | range [deg] | components for 94 % | wrist SD [deg] | load |")
    print("|---|---|---|---|---|---|")
    for stage in STAGE_FAMILIES:
        motions = [performed(stage, user) for user in range(N_USERS_PER_STAGE)]
        people = [motion_statistics(motion.at(rate_hz), rate_hz) for motion in motions]
        speeds = [np.degrees(np.mean([each.speed_rad_s[percent] for each in people])) for percent in (50, 95)]
        components = np.mean([1 + int(np.argmax(each.explained >= 0.94)) for each in people])
        reach = np.degrees(np.mean([each.range_rad.mean() for each in people]))
        wrist = np.degrees(np.mean([motion.wrist.std(axis=0) for motion in motions], axis=0))
        load = np.mean([motion.load.mean() for motion in motions])
        print(
            f"| {stage} | {speeds[0]:.0f}, {speeds[1]:.0f} | {reach:.0f} | {components:.1f} | "
            f"{wrist[0]:.0f}, {wrist[1]:.0f} | {load:.2f} |"
        )


def print_pinches() -> None:
    """How far thumb and finger tip are apart where the script says that they pinch."""
    hand = HandModel.generic()
    print("\nDistance of thumb tip and fingertip during pinches, generic hand [mm]: 5th, 50th, 95th percentile\n")
    for finger in FINGERS[1:]:
        gaps = []
        for user in range(N_USERS):
            motion = performed("FingerPinchesSingleFingerPinchesMultiple", user)
            pressing = motion.load > 0.12
            only = pressing[:, 0] & pressing[:, FINGERS.index(finger)] & (pressing.sum(axis=1) == 2)
            landmarks = np.asarray(hand.landmarks(motion.joint_angles[only].astype(np.float32)))
            tips = (landmarks[:, LANDMARK_INDEX[f"{name}_TIP"]] for name in ("THUMB", finger.upper()))
            gaps.append(np.linalg.norm(next(tips) - next(tips), axis=1))
        print(f"  {finger:7s} {np.round(np.percentile(np.concatenate(gaps), (5, 50, 95))).astype(int)}")


def print_speed() -> None:
    took_s = []
    for user in range(5):
        start_s = time.perf_counter()
        motion = simulate_motion(STAGE, draw_style(rng_for(0, "user", user)), 60.0, rng_for(0, "motion", user))
        made_s = time.perf_counter()
        motion.at(2000.0)
        took_s.append((made_s - start_s, time.perf_counter() - made_s))
    made, raised = np.median(took_s, axis=0)
    print(f"\n60 s of movement: {made:.3f} s, to 2 kHz: {raised:.3f} s more (median of 5)")


def plot_traces(motions: dict[str, Motion], path: Path) -> None:
    figure, axes = plt.subplots(5 * len(motions), 1, figsize=(20, 10 * len(motions)), sharex=True)
    for m, (title, motion) in enumerate(motions.items()):
        at_s = np.arange(motion.n_samples) / motion.rate_hz
        for f, finger in enumerate(FINGERS):
            axis = axes[5 * m + f]
            axis.plot(at_s, np.degrees(motion.joint_angles[:, 4 * f : 4 * f + 4]))
            axis.set(ylabel=f"{finger} [deg]", ylim=(-50, 120))
            axis.grid(visible=True)
        axes[5 * m].set_title(title)
    axes[-1].set(xlabel="time [s]", xlim=(0, SECONDS))
    save(figure, path)


def plot_spectrum_and_speed(real: MotionStatistics, people: list[MotionStatistics], path: Path) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    for each in people:
        left.plot(np.arange(1, 21), 100 * each.explained, color="0.7")
        right.plot(list(each.speed_rad_s), np.degrees(list(each.speed_rad_s.values())), color="0.7")
    left.plot(np.arange(1, 21), 100 * real.explained, "k.-")
    right.plot(list(real.speed_rad_s), np.degrees(list(real.speed_rad_s.values())), "k.-")
    left.set(xlabel="principal components", ylabel="variance [%]")
    right.set(xlabel="percentile", ylabel="joint speed [deg/s]", yscale="log")
    save(figure, path)


def plot_poses(path: Path) -> None:
    """Every named pose, a right hand seen from the palm and a little from the fingertips."""
    hand = HandModel.generic()
    angles = np.stack([pose.joint_angles_rad(0.66) for pose in POSES.values()]).astype(np.float32)
    vertices = np.asarray(hand.vertices(angles)) * (1, 1, -1)
    triangles = np.asarray(hand.mesh_triangles)
    tilt = np.radians(-55)
    vertices = vertices @ np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]]).T
    figure, axes = plt.subplots(-(-len(POSES) // 10), 10, figsize=(20, 2 * -(-len(POSES) // 10)), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, name, points in zip(axes.flat, POSES, vertices, strict=False):
        corners = points[triangles]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        shade = np.abs(normals[:, 1]) / (np.linalg.norm(normals, axis=1) + 1e-9)
        order = np.argsort(-corners[:, :, 1].mean(axis=1))
        colours = plt.get_cmap("copper")(0.25 + 0.75 * (0.2 + 0.8 * shade[order]))
        axis.add_collection(PolyCollection(corners[order][:, :, [2, 0]], facecolors=colours))
        axis.set(xlim=(-110, 110), ylim=(-20, 200), aspect="equal", title=name)
    save(figure, path)


def save(figure: plt.Figure, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=60)
    plt.close(figure)
    print(f"wrote {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, required=True, help="recorded joint angles")
    parser.add_argument("--rate", type=float, default=29.968, help="rate of the recording [Hz]")
    parser.add_argument("--out", type=Path, required=True, help="folder for the plots")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    with open_session(chosen.real, rate_hz=chosen.rate) as session:
        rate_hz = session.sample_rate_hz
        real = motion_statistics(session.joint_angles(), rate_hz, session.valid())
    people = [motion_statistics(performed(STAGE, user).at(rate_hz), rate_hz) for user in range(N_USERS)]
    print_comparison(real, people)
    print_stages(rate_hz)
    print_pinches()
    print_speed()
    plot_spectrum_and_speed(real, people, chosen.out / "motion_spectrum_and_speed.png")
    plot_traces(
        {"real": recorded_motion(chosen.real, chosen.rate), "simulated": performed(STAGE, 0)},
        chosen.out / "motion_traces.png",
    )
    for stage in ("FingerPinchesSingleFingerPinchesMultiple", "IndividualFingerPointingSnap"):
        plot_traces({stage: performed(stage, 0)}, chosen.out / f"motion_{stage}.png")
    plot_poses(chosen.out / "motion_poses.png")


if __name__ == "__main__":
    main()
