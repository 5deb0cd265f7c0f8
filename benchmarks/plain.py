"""The plain reference: tracking_vemg2pose, its loss and its training step as anyone would first write them in torch.

`nn.LSTM` is called once for each rollout step, and autograd does the rest. The parameters have the shapes and the
order of ours, so that `copy_weights` makes both the same model.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from emgpose.hand import FINGERTIPS
from emgpose.kinematics import HandModel, forward_kinematics

LEFT_CONTEXT = 1_790
SAMPLES_PER_STEP = 40
FINGERTIP_WEIGHT = 0.01


class ConvBlock(nn.Module):
    """Convolution, ReLU, layer norm over channels."""

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(n_in, n_out, kernel, stride)
        self.norm = nn.LayerNorm(n_out)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channel, time) to fewer time steps."""
        x = functional.relu(self.conv(x))
        return self.norm(x.transpose(1, 2)).transpose(1, 2)


class TdsConv(nn.Module):
    """Convolution over time of the 16 x 16 view, with the newest input added."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(16, 16, (1, kernel))
        self.norm = nn.LayerNorm(256)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, 256, time) to fewer time steps."""
        y = functional.relu(self.conv(x.reshape(len(x), 16, 16, -1))).reshape(len(x), 256, -1)
        y = y + x[..., -y.shape[-1] :]
        return self.norm(y.transpose(1, 2)).transpose(1, 2)


class TdsFeedForward(nn.Module):
    """Two linear layers for each time step, with the input added."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(256, 256)
        self.outer = nn.Linear(256, 256)
        self.norm = nn.LayerNorm(256)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, 256, time) to the same shape."""
        x = x.transpose(1, 2)
        return self.norm(self.outer(functional.relu(self.inner(x))) + x).transpose(1, 2)


class Plain(nn.Module):
    """EMG (batch, 16, time) and the initial pose (batch, 20) to poses (batch, 20, time - 1790)."""

    def __init__(self) -> None:
        super().__init__()
        self.featurizer = nn.Sequential(
            ConvBlock(16, 256, 11, 5),
            ConvBlock(256, 256, 5, 2),
            ConvBlock(256, 256, 17, 4),
            *(TdsConv(9), TdsFeedForward(), TdsConv(9), TdsFeedForward()),
            ConvBlock(256, 256, 9, 2),
            *(TdsConv(5), TdsFeedForward(), TdsConv(5), TdsFeedForward()),
        )
        self.project = nn.Linear(256, 64)
        self.lstm = nn.LSTM(64 + 20, 512, num_layers=2)
        self.out = nn.Linear(512, 20)

    def featurize(self, emg: Tensor) -> Tensor:
        """Give the features (batch, 64, frame)."""
        return self.project(self.featurizer(emg).transpose(1, 2)).transpose(1, 2)

    def roll_out(self, features: Tensor, n_rows: int, pose: Tensor) -> Tensor:
        """Give the poses of `n_rows` samples, one LSTM call for each 20 ms."""
        n_steps = round(n_rows / SAMPLES_PER_STEP)
        features = functional.interpolate(features, n_steps, mode="linear", align_corners=True)
        poses, state = [], None
        for step in range(n_steps):
            hidden, state = self.lstm(torch.cat((features[..., step], pose), dim=1)[None], state)
            pose = pose + self.out(functional.leaky_relu(hidden[0])) * 0.01
            poses.append(pose)
        return functional.interpolate(torch.stack(poses, dim=-1), n_rows, mode="linear", align_corners=False)

    def forward(self, emg: Tensor, initial_pose: Tensor) -> Tensor:
        """Predict the samples after the context."""
        return self.roll_out(self.featurize(emg), emg.shape[-1] - LEFT_CONTEXT, initial_pose)


def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """Give `target` the weights of `source`, whose parameters have the same shapes in the same order."""
    with torch.no_grad():
        for given, taken in zip(source.parameters(), target.parameters(), strict=True):
            if given.shape != taken.shape:
                raise ValueError(f"weights of shape {tuple(given.shape)} for one of shape {tuple(taken.shape)}")
            taken.copy_(given)


def pose_loss(prediction: Tensor, target: Tensor, hand: HandModel) -> Tensor:
    """Mean absolute angle error [rad] plus 0.01 of the mean fingertip distance [mm] at every 40th sample."""
    tips = [forward_kinematics(x[..., ::40].transpose(1, 2), hand)[..., FINGERTIPS, :] for x in (prediction, target)]
    return functional.l1_loss(prediction, target) + FINGERTIP_WEIGHT * (tips[0] - tips[1]).norm(dim=-1).mean()


def plain_training_step(
    model: nn.Module, optimizer: torch.optim.Optimizer, hand: HandModel, emg: Tensor, joint_angles: Tensor
) -> Tensor:
    """Update the weights once, starting from the recorded pose; clip the gradient to 1 as the recipe does."""
    optimizer.zero_grad()
    target = joint_angles[..., LEFT_CONTEXT:]
    loss = pose_loss(model(emg, target[..., 0]), target, hand)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.detach()
