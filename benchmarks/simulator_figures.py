"""Every figure of docs/simulator.md and its three pages, by one command: prints the tables and writes the plots.

    python benchmarks/simulator_figures.py --real ../shared/real --out figures

`--real` is a folder with `emg2pose_angles/joint_angle_predictions.csv` (recorded joint angles at 29.968 Hz) and
`grabmyo/` (trials in WFDB format); without it, only the third script, which needs no recording, runs.
"""

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def run(script: str, *arguments: str) -> None:
    command = [sys.executable, str(HERE / script), *arguments]
    print(f"\n{'=' * 100}\npython benchmarks/{script} {' '.join(arguments)}\n{'=' * 100}", flush=True)
    # What a script says of its failure is enough.
    if code := subprocess.run(command, check=False).returncode:
        sys.exit(code)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, help="folder of real recordings")
    parser.add_argument("--out", type=Path, default=Path("figures"), help="folder for the plots")
    options = parser.parse_args()
    if options.real is None:
        print("no --real: movement and EMG cannot be compared with recordings")
    else:
        angles = options.real / "emg2pose_angles" / "joint_angle_predictions.csv"
        for needed in (angles, options.real / "grabmyo"):
            if not needed.exists():
                parser.error(f"--real {options.real}: expected {needed} there, it is missing; see --help")
        run("simulator_motion_figures.py", "--real", str(angles), "--rate", "29.968", "--out", str(options.out))
        run("simulator_emg_figures.py", "--real", str(options.real / "grabmyo"), "--out", str(options.out))
    run("simulated_linear.py")


if __name__ == "__main__":
    main()
