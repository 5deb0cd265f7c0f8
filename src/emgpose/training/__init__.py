"""Training: data, loss, loop and everything that a run keeps; needs the extra `train`."""

from emgpose.training.run import TrainResult, train

__all__ = ["TrainResult", "train"]
