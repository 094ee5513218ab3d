"""What an mmproj file says of its vision tower and its images: typed, ranged, and checked against each other.

The keys are llama.cpp's (`clip.*`, see its gguf-py). Raises GGUFError (a ModelError) that names the key and its value.
"""

from dataclasses import dataclass

from llm_core.gguf import GGUFFile
from llm_core.kernels.full_attention import MAX_HEAD_DIM

ARCHITECTURE = "clip"
MAX_LAYERS = 256
MAX_WIDTH = 1 << 15
MAX_SIDE = 1 << 12  # pixels of a tile
MAX_PATCHES = 1 << 13
MAX_PINPOINTS = 256
WINDOW_SIZE = 112  # where the file does not say (all published models)


@dataclass(frozen=True)
class VisionConfig:
    """One tower: sizes in pixels, widths in values."""

    projector: str
    image_size: int
    patch_size: int
    n_embd: int
    n_ff: int
    n_head: int
    n_layer: int
    eps: float
    act: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    merge: int
    """Patches of a side that become one token; 0: the file does not say."""
    pinpoints: tuple[tuple[int, int], ...]
    """Sizes (width, height) that a picture cut into tiles may have; empty: one tile."""
    longest_edge: int
    """Pixels that a picture's longer side is resized to before it is cut into tiles; 0: it is not cut."""
    unpad: bool
    """Are tokens of padding left out where tiles are joined?"""
    whole_every: int
    """The last of so many layers sees the whole picture, the others windows; 0: all see the whole."""
    window_size: int
    """Pixels of a window's side."""
    min_pixels: int
    max_pixels: int
    """Of a picture for a tower that takes any shape; 0: the file does not say."""

    @property
    def side(self) -> int:
        """Patches of a tile's side."""
        return self.image_size // self.patch_size

    @property
    def n_patches(self) -> int:
        """Patches of a tile."""
        return self.side**2

    @property
    def head_dim(self) -> int:
        """Values of a head."""
        return self.n_embd // self.n_head


def read_config(file: GGUFFile) -> VisionConfig:
    """The configuration of an opened mmproj file. Raises GGUFError or ModelError."""
    m = file.metadata
    if m.architecture != ARCHITECTURE:
        raise m.error("general.architecture", f"{m.architecture!r} is no vision tower ({ARCHITECTURE!r} is)")
    if not m.bool("clip.has_vision_encoder", default=True):
        raise m.error("clip.has_vision_encoder", "false: the file has no vision tower")
    n_embd = m.int("clip.vision.embedding_length", min=16, max=MAX_WIDTH)
    n_head = m.int("clip.vision.attention.head_count", min=1, max=1024)
    if n_embd % n_head or n_embd // n_head > MAX_HEAD_DIM:
        raise m.error(
            "clip.vision.attention.head_count",
            f"{n_head} heads do not divide {n_embd} values into heads of at most {MAX_HEAD_DIM}",
        )
    image_size = m.int("clip.vision.image_size", min=1, max=MAX_SIDE)
    patch_size = m.int("clip.vision.patch_size", min=1, max=256)
    if image_size < patch_size:
        raise m.error("clip.vision.patch_size", f"{patch_size} is larger than a tile of {image_size} pixels")
    if (image_size // patch_size) ** 2 > MAX_PATCHES:
        raise m.error("clip.vision.image_size", f"{image_size}: a tile may have at most {MAX_PATCHES:,} patches")
    use_gelu, use_silu = m.bool("clip.use_gelu", default=False), m.bool("clip.use_silu", default=False)
    if use_gelu and use_silu:
        raise m.error("clip.use_gelu", "true, and so is 'clip.use_silu': the activation is not known")
    flat = m.ints("clip.vision.image_grid_pinpoints", min=1, max=1 << 16, max_length=2 * MAX_PINPOINTS, default=[])
    if len(flat) % 2:
        raise m.error("clip.vision.image_grid_pinpoints", f"{len(flat)} numbers are no pairs")
    colours = {"length": 3, "finite": True}
    return VisionConfig(
        projector=m.str(
            "clip.vision.projector_type", default=m.str("clip.projector_type", default="mlp", max_length=64)
        ),
        image_size=image_size,
        patch_size=patch_size,
        n_embd=n_embd,
        # Older files say 0, or leave it to the tensors.
        n_ff=m.int("clip.vision.feed_forward_length", min=0, max=MAX_WIDTH * 8, default=0),
        n_head=n_head,
        n_layer=m.int("clip.vision.block_count", min=1, max=MAX_LAYERS),
        eps=m.float("clip.vision.attention.layer_norm_epsilon", min=1e-12, max=1.0),
        act="gelu" if use_gelu else "silu" if use_silu else "quick_gelu",
        mean=tuple(m.floats("clip.vision.image_mean", min=-10.0, max=10.0, **colours)),
        std=tuple(m.floats("clip.vision.image_std", min=1e-6, max=100.0, **colours)),
        merge=m.int("clip.vision.projector.scale_factor", min=1, max=64, default=0)
        or m.int("clip.vision.spatial_merge_size", min=1, max=64, default=0),
        pinpoints=tuple(zip(flat[::2], flat[1::2], strict=True)),
        longest_edge=m.int("clip.vision.preproc_image_size", min=0, max=1 << 16, default=0),
        unpad=m.str("clip.vision.mm_patch_merge_type", default="flat", max_length=64).startswith("spatial"),
        whole_every=m.int("clip.vision.n_wa_pattern", min=0, max=MAX_LAYERS, default=0),
        window_size=m.int("clip.vision.window_size", min=1, max=MAX_SIDE, default=WINDOW_SIZE),
        min_pixels=m.int("clip.vision.image_min_pixels", min=0, max=1 << 30, default=0),
        max_pixels=m.int("clip.vision.image_max_pixels", min=0, max=1 << 30, default=0),
    )


def layers_run(file: GGUFFile, config: VisionConfig) -> int:
    """How many layers come before the features: those of the file, or fewer where `feature_layer` says so. Refuses
    features of several layers."""
    m = file.metadata
    layers = m.ints("clip.vision.feature_layer", min=0, max=MAX_LAYERS, max_length=MAX_LAYERS, default=[])
    if not layers:
        return config.n_layer
    if len(layers) > 1 or not 1 <= layers[0] <= config.n_layer:
        raise m.error("clip.vision.feature_layer", f"{layers[:8]} is not supported (one of 1 to {config.n_layer} is)")
    return layers[0]
