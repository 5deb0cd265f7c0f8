"""The hands in the browser: predicted, and beside it the truth where it is known."""

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.live.viewer.hand_mesh import HandMesh

if TYPE_CHECKING:
    from viser import CameraHandle, ClientHandle, ViserServer

Colour = tuple[int, int, int]

# One unit of the scene is 100 mm; viser's own sizes suit things of about that size.
UNITS_PER_MM: Final = 0.01
# The colours of the hand page (pages/hand_page.css): Okabe-Ito's, lightened; grey for a pose not to be relied on.
PREDICTED_COLOUR: Final[Colour] = (128, 182, 216)
TRUTH_COLOUR: Final[Colour] = (236, 160, 104)
STALE_COLOUR: Final[Colour] = (150, 153, 160)

_FIELD_OF_VIEW_RAD: Final = 0.42
# From the palm, turned a little towards the thumb and from above, so that bent fingers can be told apart.
_YAW_RAD: Final = 0.45
_PITCH_RAD: Final = 0.12
_AMBIENT_LIGHT: Final = 0.8
# A window that changes its shape by more than this has the hands brought into view again.
_RESHAPED: Final = 0.03
# Narrow views are phones, where viser's controls cover the lower 60 %: hands keep to what is left. Those of a short
# window are told by their pixels from the view between the panels of a wide one.
_PHONE_ASPECT: Final = 0.6
_SHORT_PHONE_ASPECT: Final = 0.7
_SHORT_PHONE_PIXELS: Final = 600
_PHONE_SHARE: Final = 0.4
_LABEL_HEIGHT: Final = 0.25
# How far thumb and little finger reach beyond those of the flat hand.
_SPREAD: Final = 0.35
_BETWEEN_HANDS: Final = 1.35


class HandScene:
    """Two hands in a viser scene.

    Parameters
    ----------
    server : ViserServer
    mesh : HandMesh
    truth_name : str
        What the hand beside is called.
    """

    def __init__(self, server: "ViserServer", mesh: HandMesh, truth_name: str) -> None:
        self._mesh = mesh
        self._has_truth = False
        vertices = mesh.vertices_mm * UNITS_PER_MM
        low, high = vertices.min(axis=0), vertices.max(axis=0)
        # Bent fingers come towards the palm, so the middle lies a little below that of the flat hand.
        self._centre = (low + high) / 2 - [0.1, 0, 0]
        self._half_height = (high[0] - low[0]) / 2 + _LABEL_HEIGHT
        self._top = high[0] + 0.05
        self._half_width = (high[2] - low[2]) / 2 + _SPREAD
        server.scene.set_up_direction("+x")
        server.scene.configure_default_lights(enabled=True, cast_shadow=False)
        server.scene.add_light_ambient("/light", intensity=_AMBIENT_LIGHT)
        # Seen from the palm the predicted hand is on the left.
        self._predicted = _Hand(server, "/predicted", "predicted", mesh, vertices, PREDICTED_COLOUR)
        self._truth = _Hand(server, "/truth", truth_name, mesh, vertices, TRUTH_COLOUR)
        self._truth_name = truth_name
        self._truth.show(False)
        self._server = server
        self._place()
        server.on_client_connect(self._welcome)

    def _welcome(self, client: "ClientHandle") -> None:
        """Show a browser that has just come the hands, and again when it changes its shape."""
        self.look(client)
        shape = [client.camera.aspect]

        @client.camera.on_update
        def reshaped(camera: "CameraHandle") -> None:
            # Panels that fold or turn of a phone; a camera that people have moved themselves keeps its shape.
            if abs(math.log(camera.aspect / shape[0])) > _RESHAPED:
                shape[0] = camera.aspect
                self.look(client)

    def draw(
        self, joint_angles: NDArray[np.float32], reason: str, truth: NDArray[np.float32] | None, *, asked: bool = False
    ) -> None:
        """Show a pose and the truth.

        Parameters
        ----------
        joint_angles : array, shape (joint=20,) [rad]
        reason : str
            Why the pose is stale: it is grey then, and its name says why. Empty where it is not.
        truth : array, shape (joint=20,) [rad], or None
            The hand beside appears with the first one, and turns grey where there is none.
        asked : bool
            Whether `truth` is a pose that a calibration asks for.
        """
        with self._server.atomic():
            if truth is not None and not self._has_truth:
                self._has_truth = True
                self._truth.show(True)
                self._place()
                for client in self._server.get_clients().values():
                    self.look(client)
            self._predicted.move(self._mesh, joint_angles)
            self._predicted.paint(STALE_COLOUR if reason else PREDICTED_COLOUR)
            self._predicted.call(f"predicted, {reason}" if reason else "predicted")
            if truth is not None:
                self._truth.move(self._mesh, truth)
            if self._has_truth:
                self._truth.paint(STALE_COLOUR if truth is None else TRUTH_COLOUR)
                known = self._truth_name if truth is not None else f"{self._truth_name}, unknown"
                self._truth.call("do this" if asked else known)

    def _place(self) -> None:
        aside = _BETWEEN_HANDS / 2 if self._has_truth else 0.0
        self._predicted.place(aside, self._top, self._centre[2])
        self._truth.place(-aside, self._top, self._centre[2])

    def look(self, client: "ClientHandle") -> None:
        """Bring the hands into view of one browser, whatever its shape."""
        half_width = self._half_width + (_BETWEEN_HANDS / 2 if self._has_truth else 0.0)
        share = _PHONE_SHARE if _is_phone(client.camera) else 1.0
        reach = max(self._half_height / share, half_width / max(client.camera.aspect, 0.1))
        distance = 1.1 * reach / math.tan(_FIELD_OF_VIEW_RAD / 2)
        # The palm faces -y, the thumb of both hands as they are drawn lies on one side of z.
        thumb = -1.0 if self._mesh.side == "right" else 1.0
        direction = np.array(
            [
                math.sin(_PITCH_RAD),
                -math.cos(_PITCH_RAD) * math.cos(_YAW_RAD),
                thumb * math.cos(_PITCH_RAD) * math.sin(_YAW_RAD),
            ]
        )
        # Both hands stand around z = centre; a pair is seen from straight ahead, so that neither hides the other.
        if self._has_truth:
            direction = np.array([math.sin(_PITCH_RAD), -math.cos(_PITCH_RAD), 0.0])
        # To the middle of the upper share of the view, with room for the names above.
        lift = (1 - share) * (distance * math.tan(_FIELD_OF_VIEW_RAD / 2) - _LABEL_HEIGHT)
        aim = self._centre - [lift, 0.0, 0.0]
        with client.atomic():
            client.camera.fov = _FIELD_OF_VIEW_RAD
            client.camera.up_direction = (1.0, 0.0, 0.0)
            client.camera.position = aim + distance * direction
            client.camera.look_at = aim


def _is_phone(camera: "CameraHandle") -> bool:
    narrow = _SHORT_PHONE_ASPECT if camera.image_width <= _SHORT_PHONE_PIXELS else _PHONE_ASPECT
    return camera.aspect < narrow


class _Hand:
    """One hand and its name."""

    def __init__(
        self, server: "ViserServer", path: str, name: str, mesh: HandMesh, vertices: NDArray[Any], colour: Colour
    ) -> None:
        still = np.tile([1.0, 0.0, 0.0, 0.0], (mesh.n_bones, 1))
        self._mesh = server.scene.add_mesh_skinned(
            path,
            vertices.astype(np.float32),
            mesh.triangles,
            bone_wxyzs=still,
            bone_positions=np.zeros((mesh.n_bones, 3)),
            skin_weights=mesh.skin_weights,
            color=colour,
            cast_shadow=False,
            receive_shadow=False,
        )
        self._label = server.scene.add_label(f"{path}/name", name, anchor="bottom-center")
        self._colour, self._name = colour, name

    def move(self, mesh: HandMesh, joint_angles: NDArray[np.float32]) -> None:
        wxyz, position_mm = mesh.bones(joint_angles)
        for bone, turn, shift in zip(self._mesh.bones, wxyz, position_mm * UNITS_PER_MM, strict=True):
            bone.wxyz, bone.position = turn, shift

    def paint(self, colour: Colour) -> None:
        # Each assignment is a message, also of the same colour.
        if colour != self._colour:
            self._mesh.color = self._colour = colour

    def call(self, name: str) -> None:
        if name != self._name:
            self._label.text = self._name = name

    def place(self, aside: float, top: float, middle: float) -> None:
        self._mesh.position = (0.0, 0.0, aside)
        self._label.position = (top, 0.0, middle)

    def show(self, visible: bool) -> None:
        self._mesh.visible = visible
