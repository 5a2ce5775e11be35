"""Changes to a model that exists already: each returns a new model and a list of what changed."""

from dropkit.surgery.scale import Rescaled, bake_scale, convert_scale

__all__ = ["Rescaled", "bake_scale", "convert_scale"]
