"""What each of the 29 stages of emg2pose is made of.

The stages are known by their names only; what people do in them is our own reading of those names.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Step:
    """One movement to a pose and what follows.

    Parameters
    ----------
    pose : str
        One of `POSES`, or "free" for a random one.
    move_s, hold_s : float
        How long the movement and the hold last at tempo 1 [s]; a negative hold lets the next movement start before this
        one has ended.
    wrist_deg : tuple of 2 float
        Wrist flexion and radial deviation at the pose [deg].
    lag_s : float
        How much later each finger starts than its neighbour on the thumb side (negative: earlier) [s].
    grip : float
        Load on all fingers, added to the pose's own.
    """

    pose: str
    move_s: float = 0.4
    hold_s: float = 0.4
    wrist_deg: tuple[float, float] = (0.0, 0.0)
    lag_s: float = 0.0
    grip: float = 0.0


@dataclass(frozen=True)
class Family:
    """What people do in a stage.

    Parameters
    ----------
    gestures : tuple of str, or of tuples of str
        Names in `GESTURES`, all done in turns in random order; of a tuple each person has one as a habit.
    repeats : tuple of 2 int
        How often a gesture is done in a row: at least, at most.
    wrist_deg : tuple of 2 float
        How far the wrist wanders meanwhile: standard deviation of flexion and of radial deviation [deg].
    gravity : float
        Mean load on all fingers from holding the hand up, from 0 to 1.
    """

    gestures: tuple[str | tuple[str, ...], ...]
    repeats: tuple[int, int] = (1, 3)
    wrist_deg: tuple[float, float] = (6.0, 4.0)
    gravity: float = 0.03


def _steps(*poses: str, move_s: float = 0.4, hold_s: float = 0.4, lag_s: float = 0.0) -> tuple[Step, ...]:
    return tuple(Step(pose, move_s, hold_s, lag_s=lag_s) for pose in poses)


_FINGERS: Final = ("index", "middle", "ring", "pinky")
_CIRCLE: Final = tuple(f"thumb_circle_{place}" for place in (0, 1, 2, 3, 4, 5, 6, 7, 0))

GESTURES: Final[dict[str, tuple[Step, ...]]] = {
    "count_up": _steps("fist", "count_1", "count_2", "count_3", "count_4", "spread", move_s=0.36, hold_s=0.08),
    "count_down": _steps("spread", "count_4", "count_3", "count_2", "count_1", "fist", move_s=0.36, hold_s=0.08),
    "count_up_from_thumb": _steps(
        "fist", "thumb_1", "thumb_2", "thumb_3", "thumb_4", "spread", move_s=0.36, hold_s=0.08
    ),
    "count_down_to_thumb": _steps(
        "spread", "thumb_4", "thumb_3", "thumb_2", "thumb_1", "fist", move_s=0.36, hold_s=0.08
    ),
    "wiggle": _steps(*(f"dip_{finger}" for finger in _FINGERS), move_s=0.3, hold_s=-0.12),
    "wave": _steps("open", "loose_fist", move_s=0.35, hold_s=0.2, lag_s=0.08),
    "wave_back": _steps("open", "table", move_s=0.35, hold_s=0.2, lag_s=-0.08),
    "spread_close": _steps("spread", "closed", move_s=0.35, hold_s=0.25),
    "part_fingers": _steps(
        *(name for finger in ("thumb", *_FINGERS) for name in (f"part_{finger}", "closed")), move_s=0.3, hold_s=0.2
    ),
    "lean": _steps("lean_radial", "lean_ulnar", move_s=0.5, hold_s=0.3),
    "open_close": _steps("open", "fist"),
    # Thumb and fingers.
    **{f"pinch_{finger}": _steps("before_pinch", f"pinch_{finger}", move_s=0.3, hold_s=0.25) for finger in _FINGERS},
    "pinches": _steps(
        *(name for finger in _FINGERS for name in (f"pinch_{finger}", "resting")), move_s=0.32, hold_s=0.15
    ),
    "pinches_back": _steps(*(f"pinch_{finger}" for finger in reversed(_FINGERS)), move_s=0.35, hold_s=0.2),
    "pinch_many": _steps("reach", "pinch_two", "reach", "pinch_all", move_s=0.4, hold_s=0.3),
    "pinch_turn": (
        Step("pinch_index", 0.4, 0.1, (0, -12)),
        Step("pinch_index", 0.5, 0.0, (12, 10)),
        Step("pinch_index", 0.5, 0.1, (-14, -10)),
        Step("before_pinch", 0.3, 0.2),
    ),
    "thumb_swipe": _steps("swipe_base", "swipe_tip", "swipe_base", "swipe_tip", "swipe_up", move_s=0.28, hold_s=0.12),
    "thumb_swipe_across": _steps("swipe_up", "swipe_down", "swipe_up", "swipe_tip", move_s=0.28, hold_s=0.12),
    "thumb_circle": _steps(*_CIRCLE, move_s=0.32, hold_s=-0.16),
    "thumb_circle_back": _steps(*reversed(_CIRCLE), move_s=0.32, hold_s=-0.16),
    "thumb_up_down": (Step("thumbs_up", 0.4, 0.5), Step("thumbs_up", 0.6, 0.5, (25, -15)), Step("fist", 0.4, 0.3)),
    # One finger at a time.
    "point": _steps(*(name for finger in _FINGERS for name in (f"point_{finger}", "fist")), move_s=0.4, hold_s=0.3),
    "snap": (Step("snap_ready", 0.35, 0.15), Step("snap_done", 0.09, 0.25)),
    "touch_palm": _steps(
        *(name for finger in (*_FINGERS, "thumb") for name in (f"palm_{finger}", "flat")), move_s=0.35, hold_s=0.2
    ),
    "flick": (Step("flick_ready", 0.3, 0.2), Step("flick_out", 0.15, 0.3)),
    # Signs.
    "shaka": (Step("shaka", 0.5, 0.4), Step("shaka", 0.25, -0.05, (0, 14)), Step("shaka", 0.25, 0.3, (0, -14))),
    "vulcan": _steps("vulcan", "closed", "vulcan", move_s=0.5, hold_s=0.5),
    "peace": _steps("peace", "resting", move_s=0.5, hold_s=0.6),
    "horns": _steps("horns", "resting", move_s=0.5, hold_s=0.6),
    "ok": _steps("ok", "open", move_s=0.45, hold_s=0.5),
    "scissors": _steps("peace", "scissors_shut", "peace", "scissors_shut", move_s=0.25, hold_s=0.1),
    # Grasps.
    "claw": _steps("open", "claw", move_s=0.4, hold_s=0.4),
    "grasp": _steps("reach", "cup", "reach", move_s=0.5, hold_s=0.4),
    "hook": _steps("flat", "hook", "flat", "table", move_s=0.4, hold_s=0.3),
    "doorknob": (
        Step("reach", 0.5, 0.1),
        Step("knob", 0.4, 0.2),
        Step("knob", 0.5, 0.1, (15, 12), grip=0.15),
        Step("knob", 0.5, 0.2, (-10, -15), grip=0.1),
    ),
    "grab": (Step("reach", 0.4, 0.2), Step("tight_fist", 0.35, 0.5), Step("fist", 0.3, 0.1)),
    "punch": (
        Step("fist", 0.4, 0.1, (-10, 0)),
        Step("tight_fist", 0.2, 0.2, (5, 0), grip=0.2),
        Step("fist", 0.4, 0.1),
    ),
    "clap": (Step("flat", 0.35, 0.0, (-15, 0)), Step("flat", 0.2, 0.05, (5, 0), grip=0.15)),
    "tap_tips": _steps("arched", "reach", move_s=0.25, hold_s=0.05, lag_s=0.06),
    "clasp": (Step("open", 0.5, 0.3), Step("clasped", 0.6, 1.2, (10, 0)), Step("resting", 0.5, 0.5)),
    "desk": (Step("on_desk", 0.6, 1.2, (-20, 0)), Step("resting", 0.6, 0.4)),
    "chest": (Step("flat", 0.6, 0.8, (35, 0)), Step("resting", 0.6, 0.4)),
    # Things to do.
    "coffee": (
        Step("reach", 0.6, 0.1),
        Step("cup", 0.5, 0.3, grip=0.1),
        Step("cup", 0.8, 0.8, (10, 12), grip=0.2),
        Step("cup", 0.8, 0.3, (0, -8), grip=0.15),
        Step("reach", 0.4, 0.3),
    ),
    "panic": _steps("spread", "claw", "spread", "claw", "spread", move_s=0.2, hold_s=-0.02),
    "pat": (Step("flat", 0.3, 0.0, (-25, 0)), Step("flat", 0.25, 0.05, (15, 0), grip=0.08)),
    "forehand": (Step("handle", 0.5, 0.1, (-35, 0)), Step("handle", 0.18, 0.2, (30, 5), grip=0.2)),
    "backhand": (Step("handle", 0.5, 0.1, (35, 8)), Step("handle", 0.18, 0.2, (-35, -5), grip=0.2)),
    "throw": (
        Step("ball", 0.6, 0.2, (-30, 0), grip=0.1),
        Step("ball", 0.12, -0.04, (10, 0), grip=0.2),
        Step("open", 0.15, 0.3, (35, -10)),
        Step("resting", 0.5, 0.3),
    ),
    "block": (
        Step("reach", 0.4, 0.1),
        Step("pinch_two", 0.35, 0.1, (-10, 0)),
        Step("pinch_two", 0.6, 0.2, (15, -8), grip=0.05),
        Step("before_pinch", 0.25, 0.2, (15, -8)),
    ),
    "heap": (Step("reach", 0.4, 0.1), Step("cup", 0.4, 0.3, (-10, 0)), Step("open", 0.35, 0.2, (10, 5))),
    "chess": (
        Step("resting", 0.5, 1.0),
        Step("before_pinch", 0.5, 0.1),
        Step("pinch_index", 0.35, 0.2),
        Step("pinch_index", 0.7, 0.2, (10, 10)),
        Step("before_pinch", 0.3, 0.3, (10, 10)),
    ),
    "poke": _steps("poke_back", "poke", move_s=0.25, hold_s=0.15),
    "draw": (
        Step("pen", 0.5, 0.1),
        Step("pen", 0.3, -0.1, (12, 8)),
        Step("pen", 0.3, -0.1, (0, -12)),
        Step("pen", 0.3, -0.1, (-12, 6)),
        Step("pen", 0.3, 0.1, (6, -8)),
    ),
    # The wrist alone; the fingers hang.
    "wrist_flex": (Step("resting", 0.6, 0.3, (50, 0)), Step("resting", 0.7, 0.3, (-50, 0))),
    "wrist_deviate": (Step("resting", 0.6, 0.3, (0, 15)), Step("resting", 0.7, 0.3, (0, -25))),
    "wrist_circle": (
        Step("resting", 0.7, -0.35, (40, 0)),
        Step("resting", 0.7, -0.35, (0, 14)),
        Step("resting", 0.7, -0.35, (-40, 0)),
        Step("resting", 0.7, -0.35, (0, -22)),
    ),
    # Anything.
    "free": (Step("free", 0.5, 0.3),),
    "free_quick": (Step("free", 0.28, 0.0), Step("free", 0.28, 0.1)),
    "free_wave": (Step("free", 0.4, 0.1, lag_s=0.06), Step("free", 0.4, 0.2, lag_s=-0.06)),
}

_COUNT: Final = (("count_up", "count_up_from_thumb"), ("count_down", "count_down_to_thumb"))
_WIGGLE_SPREAD: Final = ("wiggle", ("wave", "wave_back"), "spread_close")
_PINCH_SWIPE_TURN: Final = (("pinches", "pinches_back"), "thumb_swipe", ("thumb_circle", "thumb_circle_back"))

STAGE_FAMILIES: Final[dict[str, Family]] = {
    "AllFingerPinchesThumbSwipeThumbRotate": Family(_PINCH_SWIPE_TURN),
    "CoffeePanicPete": Family(("coffee", "panic", "pat"), wrist_deg=(10.0, 6.0), gravity=0.05),
    "CountingUpDownFaceSideAway": Family(
        ("count_up", "count_up_from_thumb", "count_down", "count_down_to_thumb"), (1, 2), wrist_deg=(12.0, 6.0)
    ),
    "CountingUpDownFingerWigglingSpreading": Family((*_COUNT, *_WIGGLE_SPREAD)),
    "DoorknobFingerGraspFistGrab": Family(("doorknob", "grasp", "grab"), wrist_deg=(10.0, 6.0), gravity=0.05),
    "FastPongFronthandBackhandThrowing": Family(("forehand", "backhand", "throw"), (2, 4), (10.0, 6.0), 0.08),
    "FingerAbductionSeries": Family(("part_fingers", "spread_close", "lean")),
    "FingerFreeform": Family(("free", "free_quick", "free_wave", "wiggle")),
    "FingerPinchesSingleFingerPinchesMultiple": Family(
        ("pinch_index", "pinch_middle", "pinch_ring", "pinch_pinky", "pinch_many")
    ),
    "FingerTouchPalmClapmrburns": Family(("touch_palm", "clap", "tap_tips"), (1, 4)),
    "FingerWigglingSpreading": Family(_WIGGLE_SPREAD, (2, 4)),
    "GraspPunchCloseFar": Family(("grasp", "punch"), wrist_deg=(10.0, 6.0), gravity=0.08),
    "HandClawGraspFlicks": Family(("claw", "grasp", "flick"), (1, 4)),
    "HandDeskSeparateClaspedChest": Family(("desk", "spread_close", "clasp", "chest"), (1, 2)),
    "HandOverHandAllFingerPinchesThumbSwipeThumbRotate": Family(_PINCH_SWIPE_TURN, wrist_deg=(12.0, 8.0), gravity=0.06),
    "HandOverHandCountingUpDownFingerWigglingSpreading": Family(
        (*_COUNT, *_WIGGLE_SPREAD), wrist_deg=(12.0, 8.0), gravity=0.06
    ),
    "unconstrained": Family(("free", "free_wave", "grasp", "point", "open_close", "pinches"), wrist_deg=(15.0, 8.0)),
    "HookEmHornsOKScissors": Family(("hook", "horns", "ok", "scissors"), (1, 2)),
    "IndexPinchesMiddlePinchesThumbswipes": Family(
        ("pinch_index", "pinch_middle", "thumb_swipe", "thumb_swipe_across"), (2, 4)
    ),
    "IndividualFingerPointingSnap": Family(("point", "snap"), (1, 3)),
    "OneHandedFreeStyle": Family(("free", "free_quick", "free_wave", "open_close"), wrist_deg=(15.0, 8.0)),
    "PlayBlocksChess": Family(("block", "heap", "chess"), wrist_deg=(12.0, 8.0), gravity=0.05),
    "PokeDrawPinchRotateclosefar": Family(("poke", "draw", "pinch_turn"), (2, 4), (10.0, 6.0), 0.06),
    "PokePinchCloseFar": Family(("poke", "pinch_index"), (2, 5), (8.0, 5.0), 0.06),
    "ShakaVulcanPeace": Family(("shaka", "vulcan", "peace"), (1, 2)),
    "ThumbsSwipesWholeHand": Family(("thumb_swipe", "thumb_swipe_across", "thumb_up_down"), (2, 4)),
    "ThumbsUpDownThumbRotationsCWCCWP": Family(("thumb_up_down", "thumb_circle", "thumb_circle_back"), (1, 3)),
    "TwoHandedFreeStyle": Family(("free", "free_wave", "clasp", "clap", "tap_tips"), wrist_deg=(15.0, 8.0)),
    "WristFlexionAbduction": Family(("wrist_flex", "wrist_deviate", "wrist_circle"), (2, 4), (2.0, 2.0), 0.05),
}
