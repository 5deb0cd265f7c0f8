"""From a recording to a file of joint angles, landmarks and a page to look at."""

from emgpose.prediction.initial_pose import InitialPose, choose_initial_pose, choose_task, given_pose
from emgpose.prediction.page import PageCollector
from emgpose.prediction.run import PredictionReport, doubts, predict_recording
from emgpose.prediction.writers import PoseWriter, open_pose_writer

__all__ = [
    "InitialPose",
    "PageCollector",
    "PoseWriter",
    "PredictionReport",
    "choose_initial_pose",
    "choose_task",
    "doubts",
    "given_pose",
    "open_pose_writer",
    "predict_recording",
]
