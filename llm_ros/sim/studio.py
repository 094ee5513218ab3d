"""MuJoCo takes the pictures: one model with room for every scene, whose bodies are moved, shaped and painted.

Needs the extra `sim` (the `mujoco` package) and software or hardware OpenGL (MUJOCO_GL=egl, osmesa or glfw; egl if
unset). A studio belongs to the thread that made it.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from llm_core.errors import RequestError
from llm_ros.sim.draw import PROPORTIONS, SIZES, mesh_size
from llm_ros.sim.meshes import handle, turned
from llm_ros.sim.scene import MAX_THINGS, Scene
from llm_ros.sim.surfaces import TEXTURES, textures

VARIANTS = 2 * len(SIZES)
ROLES = ("ground", "floor", "wall", "mat", "clutter0", "clutter1", "clutter2", "picture0", "picture1")
LEAST_PART, LEAST_AREA = 0.45, 0.0022  # of a thing's outline, and of the picture, that must be seen
NOWHERE = (0.0, 0.0, -50.0)


@dataclass(frozen=True)
class View:
    """A picture and its truth. image: uint8 [height, width, 3]. scene: with the things that are seen, all of which are
    seen well. mask: uint8 [height, width], 0 or 1 + the number of the thing at that pixel."""

    image: np.ndarray
    scene: Scene
    mask: np.ndarray

    def area(self, thing: int) -> int:
        """Pixels of a thing that are seen."""
        return int((self.mask == thing + 1).sum())


class Studio:
    """Renders scenes at one size, in pixels. `close` it, or use it as a context. Raises RequestError without MuJoCo or
    OpenGL."""

    def __init__(self, width: int = 192, height: int = 192):
        os.environ.setdefault("MUJOCO_GL", "egl")
        try:
            import mujoco
        except ImportError as error:
            raise RequestError(f"simulated scenes need MuJoCo: pip install 'llm_ros[sim]' ({error})") from error
        except Exception as error:  # PyOpenGL misses a library, or MuJoCo does not know MUJOCO_GL
            raise _no_opengl(error) from error
        self._mj = mujoco
        self.width, self.height = width, height
        self._model = mujoco.MjModel.from_xml_string(_xml(width, height))
        self._data = mujoco.MjData(self._model)
        flat = textures().reshape(-1)
        self._model.tex_data[: flat.size] = flat
        try:
            self._renderer = mujoco.Renderer(self._model, height, width)
        except Exception as error:
            raise _no_opengl(error) from error
        m = self._model
        self._thing_geoms = [(m.geom(f"thing{i}").id, m.geom(f"handle{i}").id) for i in range(MAX_THINGS)]
        self._owner = np.zeros(m.ngeom + 1, np.uint8)
        for i, pair in enumerate(self._thing_geoms):
            self._owner[list(pair)] = i + 1

    def __enter__(self) -> Studio:
        return self

    def __exit__(self, *exc) -> None:
        self.close()

    def close(self) -> None:
        """Free the renderer."""
        self._renderer.close()

    def look(self, scene: Scene) -> View:
        """The picture of a scene, without the things that are not seen well enough to be spoken of."""
        while True:
            self._arrange(scene)
            mask = self._mask()
            hidden = {i for i in range(len(scene.things)) if not self._seen(scene, i, mask)}
            if not hidden:
                break
            scene = scene.without(hidden)
        self._arrange(scene)
        return View(self._photo(scene), scene, mask)

    def _seen(self, scene: Scene, i: int, mask: np.ndarray) -> bool:
        area = int((mask == i + 1).sum())
        if area < LEAST_AREA * self.height * self.height:
            return False
        x, y, ahead = scene.camera.project(scene.things[i].centre, self.width, self.height)
        if not (ahead > 0 and 2 < x < self.width - 2 and 2 < y < self.height - 2):
            return False
        alpha = self._model.geom_rgba[:, 3].copy()
        self._model.geom_rgba[:, 3] = 0
        self._model.geom_rgba[list(self._thing_geoms[i]), 3] = alpha[list(self._thing_geoms[i])]
        alone = int((self._mask() == i + 1).sum())
        self._model.geom_rgba[:, 3] = alpha
        return area >= LEAST_PART * alone

    def _mask(self) -> np.ndarray:
        """Which thing is where."""
        self._renderer.enable_segmentation_rendering()
        self._renderer.update_scene(self._data, camera="camera")
        ids, kinds = np.moveaxis(self._renderer.render(), -1, 0)
        self._renderer.disable_segmentation_rendering()
        return self._owner[np.where(kinds == int(self._mj.mjtObj.mjOBJ_GEOM), ids, -1)]

    def _photo(self, scene: Scene) -> np.ndarray:
        """What the camera's sensor makes of it."""
        look, rng = scene.look, np.random.default_rng(scene.look.seed)
        self._renderer.update_scene(self._data, camera="camera")
        image = Image.fromarray(self._renderer.render())
        if look.blur:
            image = image.filter(ImageFilter.GaussianBlur(look.blur * self.height / 192))
        values = np.asarray(image, np.float32) * look.gain
        if look.noise:
            values = values + look.noise * rng.standard_normal(values.shape, np.float32)
        return np.clip(values + 0.5, 0, 255).astype(np.uint8)

    def _arrange(self, scene: Scene) -> None:
        """Put everything where the scene says."""
        self._surroundings(scene)
        m = self._model
        for i, (main, ear) in enumerate(self._thing_geoms):
            m.geom_rgba[[main, ear], 3] = 0
            if i >= len(scene.things):
                continue
            thing = scene.things[i]
            m.body_pos[m.geom_bodyid[main]] = thing.position
            m.body_quat[m.geom_bodyid[main]] = (math.cos(thing.yaw / 2), 0, 0, math.sin(thing.yaw / 2))
            m.geom_rgba[main] = (*thing.rgb, 1)
            if thing.shape in PROPORTIONS:
                self._mesh(main, f"{thing.shape}{thing.variant}")
                if thing.shape == "mug":
                    m.geom_rgba[ear] = (*thing.rgb, 1)
                    self._mesh(ear, f"handle{thing.variant}")
            else:
                types = {"box": "mjGEOM_BOX", "ball": "mjGEOM_SPHERE", "cylinder": "mjGEOM_CYLINDER"}
                m.geom_type[main] = getattr(self._mj.mjtGeom, types[thing.shape])
                m.geom_dataid[main] = -1
                x, y, z = thing.size
                m.geom_size[main] = {"box": (x, y, z), "ball": (x, 0, 0), "cylinder": (x, z, 0)}[thing.shape]
                m.geom_pos[main], m.geom_quat[main] = (0, 0, z), (1, 0, 0, 0)
        self._mj.mj_kinematics(m, self._data)
        self._mj.mj_camlight(m, self._data)

    def _mesh(self, geom: int, name: str) -> None:
        m, mesh = self._model, self._model.mesh(name).id
        m.geom_type[geom], m.geom_dataid[geom] = self._mj.mjtGeom.mjGEOM_MESH, mesh
        # The compiler moved the mesh to its own axes.
        m.geom_pos[geom], m.geom_quat[geom] = m.mesh_pos[mesh], m.mesh_quat[mesh]

    def _surroundings(self, scene: Scene) -> None:
        """Table or room, light, textures and clutter."""
        m, rng = self._model, np.random.default_rng([scene.look.seed, 1])
        on_table = scene.kind == "table"
        for role in ROLES:
            material = m.mat(role).id
            m.mat_texid[material, self._mj.mjtTextureRole.mjTEXROLE_RGB] = rng.integers(len(TEXTURES))
            m.mat_texrepeat[material] = rng.uniform(0.6, 3.5, 2) if role != "floor" else rng.uniform(1, 6)
            m.mat_specular[material], m.mat_reflectance[material] = rng.uniform(0, 0.4), 0
            m.mat_rgba[material, :3] = _muted(rng)
        for name in ("picture0", "picture1"):  # pictures on the wall have any colour
            m.mat_rgba[m.mat(name).id, :3] = rng.uniform(0.05, 1, 3)
        floor = -0.6 if on_table else 0.0
        self._put("floor", (0, 0, floor))
        half = (rng.uniform(0.42, 0.6), rng.uniform(0.4, 0.55), 0.015)
        self._plate("top", scene.table if not on_table else (0, 0.02, half[0], half[1], 0.0), floor)
        away = rng.uniform(0.62, 1.3)
        self._put("back", (0, away, floor + 1.4))
        self._put("side", (rng.choice((-1, 1)) * rng.uniform(0.9, 1.5), 0, floor + 1.4))
        for name in ("picture0", "picture1"):
            self._put(name, (rng.uniform(-0.8, 0.8), away - 0.02, rng.uniform(0.1, 0.7)))
            m.geom_size[m.geom(name).id, [0, 2]] = rng.uniform(0.06, 0.2, 2)
        mat = rng.random() < 0.3
        self._put("mat", (rng.uniform(-0.1, 0.1), rng.uniform(-0.1, 0.1), 0.0005) if mat else NOWHERE)
        m.geom_size[m.geom("mat").id, :2] = rng.uniform(0.12, 0.38, 2)
        spots = [thing.position for thing in scene.things]
        for i in range(3):
            where = (*rng.uniform(-0.36, 0.36, 2), 0.0)
            free = all(math.dist(where[:2], spot[:2]) > 0.14 for spot in spots) and (
                on_table or scene.table is None or math.dist(where[:2], scene.table[:2]) > 0.42
            )
            self._put(f"clutter{i}", where if free and rng.random() < 0.35 else NOWHERE)
        self._light(rng)
        camera, m_camera = scene.camera, m.camera("camera").id
        m.cam_pos[m_camera], m.cam_fovy[m_camera] = camera.position, camera.fovy
        right, up, forward = camera.axes
        self._mj.mju_mat2Quat(m.cam_quat[m_camera], np.stack([right, up, -forward], axis=1).reshape(-1))

    def _light(self, rng: np.random.Generator) -> None:
        m = self._model
        where = np.array([rng.uniform(-0.8, 0.8), rng.uniform(-1.0, 0.4), rng.uniform(1.0, 1.8)])
        towards = np.array([*rng.uniform(-0.15, 0.15, 2), 0]) - where
        m.light_pos[0], m.light_dir[0] = where, towards / np.linalg.norm(towards)
        warm = rng.uniform(0.9, 1.1)
        strength = rng.uniform(0.45, 0.8)
        m.light_diffuse[0] = strength * np.array([min(1.1, warm), 1, min(1.1, 2 - warm)])
        m.light_castshadow[0] = rng.random() < 0.8
        m.vis.headlight.ambient[:] = rng.uniform(0.3, 0.5)
        m.vis.headlight.diffuse[:] = rng.uniform(0.1, 0.35)

    def _put(self, name: str, where) -> None:
        m = self._model
        m.body_pos[m.body(name).id] = where

    def _plate(self, name: str, table, floor: float) -> None:
        """A table top on four legs: (centre x, y, half length, half depth, height), or None."""
        m = self._model
        if table is None:
            self._put(name, NOWHERE)
            return
        x, y, half_x, half_y, high = table
        self._put(name, (x, y, high))
        thick = 0.012
        top = m.geom(name).id
        m.geom_size[top], m.geom_pos[top] = (half_x, half_y, thick), (0, 0, -thick)
        leg = (high - floor) / 2
        for i, (sx, sy) in enumerate(((-1, -1), (-1, 1), (1, -1), (1, 1))):
            geom = m.geom(f"leg{i}").id
            m.geom_size[geom] = (0.012, 0.012, leg)
            m.geom_pos[geom] = (sx * (half_x - 0.015), sy * (half_y - 0.015), -leg - thick)


def _no_opengl(error: Exception) -> RequestError:
    return RequestError(
        f"simulated scenes need OpenGL, and MUJOCO_GL={os.environ['MUJOCO_GL']} gives none ({error}); in software: "
        "apt install libegl1 libgl1-mesa-dri with MUJOCO_GL=egl, or libosmesa6 with MUJOCO_GL=osmesa"
    )


def _muted(rng: np.random.Generator) -> np.ndarray:
    """A surface's colour: grey, beige or brown, or a pale one."""
    value, warm = rng.uniform(0.25, 1.0), rng.uniform(-0.04, 0.16)
    colour = value * np.array([1 + warm, 1, 1 - 1.4 * warm]) + rng.uniform(-0.05, 0.05, 3)
    return np.clip(colour, 0.05, 1)


def _xml(width: int, height: int) -> str:
    side = 64
    assets = [f'<texture name="{t}" type="2d" builtin="flat" width="{side}" height="{side}"/>' for t in TEXTURES]
    assets += [f'<material name="{role}" texture="{TEXTURES[0]}"/>' for role in ROLES]
    for shape in PROPORTIONS:
        for variant in range(VARIANTS):
            radius, _, half = mesh_size(shape, variant)
            assets.append(_mesh_xml(f"{shape}{variant}", *turned(shape, radius, 2 * half)))
            if shape == "mug":
                assets.append(_mesh_xml(f"handle{variant}", *handle(radius, 2 * half)))
    # Off the axes, so that the compiler does not take a geom's frame for its body's.
    odd = 'pos="0.01 0.02 0.03" quat="0.9 0.1 0.2 0.3"'
    bodies = [
        f'<body name="thing_{i}"><geom name="thing{i}" type="box" size=".05 .05 .05" {odd}/>'
        f'<geom name="handle{i}" type="box" size=".05 .05 .05" {odd}/></body>'
        for i in range(MAX_THINGS)
    ]
    legs = "".join(
        f'<geom name="leg{i}" type="box" size=".01 .01 .3" material="ground" pos="0.1 0.1 0.1"/>' for i in range(4)
    )
    return f"""<mujoco><visual><global offwidth="{width}" offheight="{height}"/><map znear="0.02"/>
<quality shadowsize="1024" offsamples="4"/></visual><asset>{"".join(assets)}</asset><worldbody>
<light name="light" pos="0 0 2" dir="0 0 -1" castshadow="true" specular="0.2 0.2 0.2"/>
<camera name="camera" mode="fixed"/>
<body name="floor"><geom type="plane" size="4 4 .1" material="floor"/></body>
<body name="back"><geom type="box" size="3 .01 1.4" material="wall"/></body>
<body name="side"><geom type="box" size=".01 3 1.4" material="wall"/></body>
<body name="picture0"><geom name="picture0" type="box" size=".1 .008 .1" material="picture0"/></body>
<body name="picture1"><geom name="picture1" type="box" size=".1 .008 .1" material="picture1"/></body>
<body name="top"><geom name="top" type="box" size=".5 .5 .01" material="ground" pos="0.1 0.1 0.1"/>{legs}</body>
<body name="mat"><geom name="mat" type="box" size=".2 .2 .001" material="mat"/></body>
<body name="clutter0"><geom type="capsule" size=".008 .07" material="clutter0" euler="90 30 0" pos="0 0 .009"/></body>
<body name="clutter1"><geom type="ellipsoid" size=".04 .025 .014" material="clutter1" pos="0 0 .012"/></body>
<body name="clutter2"><geom type="capsule" size=".006 .05" material="clutter2" euler="90 -60 0" pos="0 0 .007"/></body>
{"".join(bodies)}</worldbody></mujoco>"""


def _mesh_xml(name: str, vertices: np.ndarray, faces: np.ndarray) -> str:
    points = " ".join(f"{v:.5f}" for v in vertices.reshape(-1))
    corners = " ".join(map(str, faces.reshape(-1)))
    return f'<mesh name="{name}" inertia="shell" vertex="{points}" face="{corners}"/>'
