"""A stand-in for Genesis: a scene with a plane and an arm of nine joints that go where they are told to, slowly."""

from __future__ import annotations

from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import torch

from stand_ins import put


class Arm:
    n_dofs = 9

    def __init__(self, copies: int) -> None:
        self.name, self.shape = "panda", (copies, self.n_dofs) if copies else (self.n_dofs,)
        self.place, self.speed, self.aim = torch.zeros(3, *self.shape)

    def get_dofs_position(self):
        return self.place  # the engine's own tensor, as there: what is kept of it has to be copied

    def get_dofs_velocity(self):
        return self.speed

    def control_dofs_position(self, aim) -> None:
        self.aim = aim


class Camera:
    def __init__(self, scene, res) -> None:
        self.scene, self.res = scene, res

    def render(self):
        picture = np.full((*self.res, 3), 230, dtype=np.uint8)
        for joint, place in enumerate(self.scene.arm.place.reshape(-1, 9)[0].tolist()):
            row = int((0.5 + 0.4 * np.tanh(place)) * self.res[0])
            column = (joint + 1) * self.res[1] // 10
            picture[row - 4 : row + 4, column - 4 : column + 4] = (40, 60, 140)
        return picture[::-1], None, None, None


class Scene:
    def __init__(self, show_viewer: bool = False, vis_options=None) -> None:
        self.n_envs, self.entities = 0, []
        self.visualizer = SimpleNamespace(cameras=[], _context=None)

    def add_entity(self, morph):
        self.entities.append(SimpleNamespace(name=morph, n_dofs=0))

    def add_camera(self, res) -> None:
        self.visualizer.cameras.append(Camera(self, res))

    def build(self, n_envs: int = 0) -> None:
        self.n_envs, self.arm = n_envs, Arm(n_envs)
        self.entities[1] = self.arm

    def step(self) -> None:
        self.arm.speed.copy_(0.2 * (self.arm.aim - self.arm.place))
        self.arm.place.add_(self.arm.speed)


def install() -> None:
    if find_spec("genesis"):  # the real one is there
        return
    morphs = SimpleNamespace(Plane=lambda: "plane", MJCF=lambda file: "panda", Box=lambda size, pos: "box")
    options = SimpleNamespace(VisOptions=lambda **_: None)
    put("genesis", Scene=Scene, morphs=morphs, options=options, cpu="cpu", cuda="cuda", init=lambda backend: None)
