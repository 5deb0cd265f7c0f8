"""Compare simulated EMG with real wrist EMG: prints the tables of docs/simulator.md and writes the plots.

    python benchmarks/simulator_emg_figures.py --real ../shared/real/grabmyo --out figures

Real: GRABMyo (Pradhan et al. 2022), one participant, 11 trials of 5 s. Its signals are monopolar, so the differences of
the two rings of electrodes (wrist W1-W6 minus W7-W12, forearm F1-F8 minus F9-F16) stand beside the simulated pairs,
which also lie along the arm. Simulated: people held the same kind of gesture for 5 s.
"""

import argparse
import os
import time
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from scipy import signal

from emgpose.recording import open_session
from emgpose.signals import Bandpass, Preprocessor
from emgpose.simulation.anatomy import (
    ELECTRODE_STEP_RAD,
    NEUTRAL_PLACEMENT,
    Placement,
    UserAnatomy,
    draw_placement,
    draw_user,
)
from emgpose.simulation.emg import simulate_emg
from emgpose.simulation.hand_poses import POSES, RESTING
from emgpose.simulation.motion import STAGE_FAMILIES, Motion, draw_style, simulate_motion
from emgpose.simulation.streams import rng_for

matplotlib.use("Agg")
from matplotlib import pyplot as plt

RATE_HZ = 2000.0
MOTION_HZ = 200.0
# Trial number in GRABMyo -> simulated pose, wrist flexion and radial deviation [deg].
GESTURES = {
    "hand open": ("15", "open", (0.0, 0.0)),
    "wrist extension": ("11", "resting", (-50.0, 0.0)),
    "wrist flexion": ("12", "resting", (50.0, 0.0)),
}
UNNAMED = ("1", "10")
N_USERS = 10
N_SESSION_USERS, STAGES_EACH = 60, 3


def person(user: int) -> UserAnatomy:
    return draw_user(rng_for(0, "user", user))


def emg_of(motion: Motion, user: int, key: str, placement: Placement = NEUTRAL_PLACEMENT) -> np.ndarray:
    rngs = {f"{name}_rng": rng_for(0, name, user, key) for name in ("motor_units", "noise")}
    return simulate_emg(motion, person(user), placement, **rngs)


def movement(target_rad: np.ndarray, load: np.ndarray, starts_s: list[float], move_s: float, seconds: float) -> Motion:
    """Rest, then go to a target (and back, for every second start) by minimum-jerk movements."""
    at_s = np.arange(round(seconds * MOTION_HZ)) / MOTION_HZ
    share = np.zeros_like(at_s)
    for number, start_s in enumerate(starts_s):
        along = np.clip((at_s - start_s) / move_s, 0, 1)
        share += (1 - 2 * (number % 2)) * along**3 * (10 - 15 * along + 6 * along**2)
    rest = np.concatenate([RESTING.joint_angles_rad(0.66), np.zeros(2)])
    moved = rest + share[:, None] * (target_rad - rest)
    return Motion(moved[:, :20], moved[:, 20:], share[:, None] * load, MOTION_HZ)


def held(pose: str, wrist_deg: tuple[float, float]) -> Motion:
    target = np.concatenate([POSES[pose].joint_angles_rad(0.66), np.radians(wrist_deg)])
    return movement(target, np.asarray(POSES[pose].load), [0.5], 0.5, 6.5)


def figures(emg: np.ndarray, rate_hz: float) -> dict[str, np.ndarray]:
    """SD, edges of the spectrum and kurtosis of each channel."""
    centred = emg - emg.mean(axis=0)
    frequency, power = signal.welch(centred, rate_hz, nperseg=int(rate_hz), axis=0)
    power = power[frequency >= 20]
    shares = np.cumsum(power, axis=0) / power.sum(axis=0)
    edges = [frequency[frequency >= 20][(shares >= share).argmax(axis=0)] for share in (0.05, 0.5, 0.95)]
    kurtosis = (centred**4).mean(axis=0) / (centred**2).mean(axis=0) ** 2
    return {"sd": emg.std(axis=0), "low": edges[0], "median": edges[1], "high": edges[2], "kurtosis": kurtosis}


def correlations(emg: np.ndarray, lag: int) -> np.ndarray:
    matrix = np.corrcoef(emg.T)
    return np.array([matrix[k, (k + lag) % len(matrix)] for k in range(len(matrix))])


def real_trials(folder: Path) -> dict[str, list[dict[str, np.ndarray]]]:
    """Filtered trials by gesture, as the derivations that are compared."""
    names = tuple(f"F{k}" for k in range(1, 17)) + tuple(f"W{k}" for k in range(1, 13))
    trials: dict[str, list[dict[str, np.ndarray]]] = {}
    for path in sorted(folder.glob("*.hea")):
        with open_session(path, channels=names) as session:
            rate_hz = session.sample_rate_hz
            emg = Preprocessor((Bandpass(20.0, 850.0),), rate_hz, len(names)).process(session.emg())[512:]
        gesture = path.stem.split("gesture")[1].split("_")[0]
        ring = emg[:, 16:22] - emg[:, 22:28]
        # W5 minus W11 is silent in this recording (3 uV in all trials): left out.
        derivations = {"W ring": ring[:, [0, 1, 2, 3, 5]], "F ring": emg[:, :8] - emg[:, 8:16], "W": emg[:, 16:28]}
        trials.setdefault(gesture, []).append({**derivations, "W circle": ring, "rate_hz": np.array(rate_hz)})
    return trials


def summary(parts: list[dict[str, np.ndarray]]) -> str:
    """One row: medians over channels and trials; the SD with its range over trials."""
    pooled = [np.sqrt(np.mean(part["sd"] ** 2)) for part in parts]
    middle = {name: np.median(np.concatenate([part[name] for part in parts])) for name in parts[0]}
    return (
        f"{np.median(pooled):6.1f} ({min(pooled):.0f} to {max(pooled):.0f})".ljust(22)
        + f"{middle['low']:6.0f} {middle['median']:6.0f} {middle['high']:6.0f}   {middle['kurtosis']:6.1f}"
    )


def compare_gestures(trials: dict[str, list[dict[str, np.ndarray]]], out: Path) -> None:
    print("\n1. Held gestures. SD pooled over channels (GRABMyo: uV; simulated: noise floors), median and range;")
    print("   frequency below which 5, 50, 95 % of the power lie [Hz], kurtosis: median over channels and trials")
    print(f"{'gesture':<18}{'source':<22}{'SD':<22}{'5 %':>6} {'50 %':>6} {'95 %':>6}   kurtosis")
    spectra: dict[str, list[np.ndarray]] = {"simulated": [], "GRABMyo wrist, rings": [], "GRABMyo forearm, rings": []}
    amplitudes: dict[str, list[np.ndarray]] = {label: [] for label in spectra}
    distances: dict[str, list[np.ndarray]] = {"W": [], "F": [], "F far": [], **{str(lag): [] for lag in range(1, 9)}}
    for gesture, (number, pose, wrist_deg) in {
        **GESTURES,
        **{f"unnamed {n}": (n, "", (0.0, 0.0)) for n in UNNAMED},
    }.items():
        for part, label in (
            ("W ring", "GRABMyo wrist, rings"),
            ("F ring", "GRABMyo forearm, rings"),
            ("W", "GRABMyo wrist, mono"),
        ):
            rows = [figures(trial[part], float(trial["rate_hz"])) for trial in trials[number]]
            print(f"{gesture:<18}{label:<22}{summary(rows)}")
            if label in spectra:
                spectra[label] += [spectrum(trial[part], float(trial["rate_hz"])) for trial in trials[number]]
                amplitudes[label] += [in_deviations(trial[part]) for trial in trials[number]]
        distances["W"] += [correlations(trial["W circle"], 1)[[0, 1, 2, 5]] for trial in trials[number]]
        distances["F"] += [correlations(trial["F ring"], 1) for trial in trials[number]]
        distances["F far"] += [correlations(trial["F ring"], 4)[:4] for trial in trials[number]]
        if pose:
            emgs = [emg_of(held(pose, wrist_deg), user, gesture)[-10_000:] for user in range(N_USERS)]
            print(
                f"{gesture:<18}{f'simulated, {N_USERS} people':<22}{summary([figures(emg, RATE_HZ) for emg in emgs])}"
            )
            spectra["simulated"] += [spectrum(emg, RATE_HZ) for emg in emgs]
            amplitudes["simulated"] += [in_deviations(emg) for emg in emgs]
            for lag in range(1, 9):
                distances[str(lag)] += [correlations(emg, lag) for emg in emgs]
    print("\n   Share of samples further than 1, 2, 3, 5 SD of their channel from 0 [%]")
    for label, parts in amplitudes.items():
        beyond = [100 * np.mean(np.abs(np.concatenate(parts)) > limit) for limit in (1, 2, 3, 5)]
        print(f"{label:<28}" + "  ".join(f"{share:6.3f}" for share in beyond))
        bins = np.arange(-10, 10.01, 0.1)
        plt.hist(np.concatenate(parts), bins=bins, density=True, log=True, histtype="step", label=label)
    save(out, "amplitudes.png", "EMG of held gestures [SD of the channel]", "density")
    print("\n2. Correlation of neighbours around the arm, median (5 to 95 %)")
    for key, label in {
        "W": "GRABMyo wrist, 1/6 turn",
        "F": "GRABMyo forearm, 1/8 turn",
        "F far": "GRABMyo forearm, 1/2 turn",
    }.items():
        print(f"{label:<28}{spread(np.concatenate(distances[key]))}")
    for lag in (1, 2, 3, 8):
        print(f"{f'simulated, {lag}/16 turn':<28}{spread(np.concatenate(distances[str(lag)]))}")
    for label, lines in spectra.items():
        plt.semilogy(np.arange(len(lines[0])), np.median(lines, axis=0), label=label)
    plt.xlim(0, 1000)
    plt.ylim(1e-6, 1e-1)
    save(out, "spectrum.png", "frequency [Hz]", "share of the power per Hz")


def spectrum(emg: np.ndarray, rate_hz: float) -> np.ndarray:
    """Power per Hz as a share of the whole, mean over channels of equal weight."""
    power = signal.welch(emg, rate_hz, nperseg=int(rate_hz), axis=0)[1]
    power = power[: int(rate_hz) // 2]
    return (power / power.sum(axis=0)).mean(axis=1)[:1000]


def in_deviations(emg: np.ndarray) -> np.ndarray:
    return (emg / emg.std(axis=0)).ravel()


def spread(values: np.ndarray, digits: int = 2) -> str:
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def compare_sessions(stages: list[str], seconds: float) -> None:
    """Whole sessions on the published scale, bands as people wear them.

    Many people, since one strong arm moves the pooled SD of a few.
    """
    powers, kurtoses, per_user, quiet = [], [], [], []
    computing_s = 0.0
    for user in range(N_SESSION_USERS):
        own = []
        for stage in (stages[(user * STAGES_EACH + k) % len(stages)] for k in range(STAGES_EACH)):
            style = draw_style(rng_for(0, "user", user, "style"))
            motion = simulate_motion(stage, style, seconds, rng_for(0, "motion", user, stage))
            start = time.process_time()
            emg = emg_of(motion, user, stage, draw_placement(rng_for(0, "placement", user)))
            computing_s += time.process_time() - start
            own.append(np.mean(emg.astype(np.float64) ** 2))
            kurtoses.append(figures(emg, RATE_HZ)["kurtosis"])
            level = np.sqrt((emg[: len(emg) // 500 * 500].reshape(-1, 500, 16) ** 2).mean(axis=1))
            quiet.append(np.quantile(level, 0.05, axis=0))
        powers += own
        per_user.append(np.sqrt(np.mean(own)))
    print(f"\n3. Sessions: {N_SESSION_USERS} people x {STAGES_EACH} of {len(stages)} stages x {seconds:g} s")
    print(
        f"pooled SD {np.sqrt(np.mean(powers)):.1f} (published: 18.5 to 19.6); "
        f"per person, median (5 to 95 %) {spread(np.array(per_user), 1)}"
    )
    print(f"kurtosis of a channel, median (5 to 95 %) {spread(np.concatenate(kurtoses))}")
    print(f"5th percentile of the RMS over 0.25 s {spread(np.concatenate(quiet))}")
    seconds_in_all = seconds * N_SESSION_USERS * STAGES_EACH
    print(f"computing: {seconds_in_all / computing_s:.0f} times real time on one core ({os.cpu_count()} cores here)")


def noise_floor() -> None:
    rest = RESTING.joint_angles_rad(0.66)
    n = round(30 * MOTION_HZ)
    emg = emg_of(Motion(np.tile(rest, (n, 1)), np.zeros((n, 2)), np.zeros((n, 5)), MOTION_HZ), 0, "rest")
    levels = emg.std(axis=0)
    print(f"\n4. At rest for 30 s: SD {emg.std():.4f} (channels {levels.min():.4f} to {levels.max():.4f})")


def delay_and_speed(out: Path) -> None:
    """When EMG starts against the movement, and how it grows with speed."""
    fist = np.concatenate([POSES["fist"].joint_angles_rad(0.66), np.zeros(2)])
    starts_s = np.arange(1.0, 19.0, 2.0).tolist()
    leads = []
    for user in range(N_USERS):
        motion = movement(fist, np.zeros(5), starts_s, 0.4, 20.0)
        emg = emg_of(motion, user, "delay")
        level = np.sqrt((emg[: len(emg) // 20 * 20].reshape(-1, 20, 16).astype(np.float64) ** 2).mean(axis=(1, 2)))
        speed = np.abs(motion.velocity()).mean(axis=1)
        at_s = np.arange(len(level)) * 0.01
        for start_s in starts_s[::2]:
            before = (at_s > start_s - 0.5) & (at_s < start_s - 0.2)
            limit = level[before].mean() + 5 * level[before].std()
            after = np.flatnonzero((at_s > start_s - 0.2) & (level > limit))
            moving = np.flatnonzero((np.arange(len(speed)) / MOTION_HZ > start_s) & (speed > 0.05 * speed.max()))
            leads.append(1e3 * (moving[0] / MOTION_HZ - at_s[after[0]]))
    print("\n5. Onset of EMG (5 SD above its rest) before that of movement (5 % of the peak speed) [ms]; set: 55 +- 10")
    print(spread(np.array(leads), 0))
    print("\n6. Amplitude against speed: RMS over fist closing, relative to the slowest, by duration of the movement")
    durations_s = (0.2, 0.3, 0.5, 0.8, 1.2)
    rows = []
    for user in range(N_USERS):
        emgs = []
        for duration_s in durations_s:
            motion = movement(fist, np.zeros(5), starts_s, duration_s, 20.0)
            emg = emg_of(motion, user, "speed").astype(np.float64)
            windows = [emg[round((s - 0.06) * 2000) : round((s - 0.06 + duration_s) * 2000)] for s in starts_s[::2]]
            emgs.append(np.sqrt(np.mean([np.mean(window**2) for window in windows])))
        rows.append(np.array(emgs) / emgs[-1])
    middle = np.median(rows, axis=0)
    print("  ".join(f"{duration_s:g} s: {value:.2f}" for duration_s, value in zip(durations_s, middle, strict=True)))
    plt.plot(durations_s, np.transpose(rows), color="grey", linewidth=0.7)
    plt.plot(durations_s, middle, "o-", label="median over people")
    save(out, "speed.png", "duration of the movement [s]", "RMS relative to the slowest")


def traces(out: Path) -> None:
    """A movement, its EMG, and the amplitude over the channels for one finger after another."""
    style = draw_style(rng_for(0, "user", 0, "style"))
    motion = simulate_motion("CountingUpDownFaceSideAway", style, 8.0, rng_for(0, "motion", 0))
    emg = emg_of(motion, 0, "trace")
    _, (top, bottom) = plt.subplots(2, 1, figsize=(10, 8), height_ratios=(1, 3), sharex=True)
    top.plot(np.arange(motion.n_samples) / MOTION_HZ, np.degrees(motion.joint_angles[:, [5, 9, 13, 17]]))
    top.set_ylabel("MCP flexion [deg]")
    bottom.plot(np.arange(len(emg)) / RATE_HZ, emg + 150 * np.arange(16), linewidth=0.4)
    bottom.set_ylabel("channel (150 noise floors apart)")
    save(out, "traces.png", "time [s]", None)
    _, axes = plt.subplots(1, 3, figsize=(12, 4), sharey=True)
    for axis, (pose, wrist_deg) in zip(axes, (("open", (0, 0)), ("fist", (0, 0)), ("resting", (50, 0))), strict=True):
        for user in range(5):
            axis.semilogy(emg_of(held(pose, wrist_deg), user, pose)[-10_000:].std(axis=0), label=f"person {user}")
        turned = Placement(rotation_rad=2 * ELECTRODE_STEP_RAD)
        axis.semilogy(
            emg_of(held(pose, wrist_deg), 0, pose, turned)[-10_000:].std(axis=0), "k:", label="0, turned by 2"
        )
        axis.set_title(f"{pose}, wrist {wrist_deg[0]} deg")
        axis.set_xlabel("channel")
    save(out, "people.png", "channel", None)


def save(out: Path, name: str, x: str, y: str | None) -> None:
    plt.xlabel(x)
    if y is not None:
        plt.ylabel(y)
    if any(handle.get_label()[0] != "_" for handle in plt.gca().get_lines() + plt.gca().patches):
        plt.legend()
    plt.tight_layout()
    plt.savefig(out / name, dpi=110)
    plt.close("all")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, required=True, help="folder of GRABMyo trials in WFDB format")
    parser.add_argument("--out", type=Path, required=True, help="folder for the plots")
    parser.add_argument("--seconds", type=float, default=12.0, help="length of each session in part 3")
    parser.add_argument("--every", type=int, default=3, help="part 3 takes every n-th stage")
    options: Any = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    compare_gestures(real_trials(options.real), options.out)
    compare_sessions(list(STAGE_FAMILIES)[:: options.every], options.seconds)
    noise_floor()
    delay_and_speed(options.out)
    traces(options.out)


if __name__ == "__main__":
    main()
