"""Changes to a model that exists already: each returns a new model and a list of what changed.

`inject` alone works in place, and is undone.
"""

from dropkit.surgery.exchange import Exchanged, use_dropkit
from dropkit.surgery.injection import Injection, inject
from dropkit.surgery.scale import Rescaled, bake_scale, convert_scale

__all__ = ["Exchanged", "Injection", "Rescaled", "bake_scale", "convert_scale", "inject", "use_dropkit"]
