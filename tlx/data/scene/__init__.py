"""Draw one street picture with licence plates, and say exactly where the plates are.

The street is a small 3-D world seen by a pinhole camera. It is drawn back to front as projected
polygons on a canvas `SUPERSAMPLE` times the picture, which remembers the plate that each pixel
shows. Light, weather and sensor effects follow at the end.

From the ground up: `geometry` and `colors`; `canvas`; `lettering`; `plates`; `plan`;
`vehicle_parts` and `vehicles`; `street`, `obstacles`, `effects`; `compose` puts them together.
"""

from tlx.data.scene.canvas import SUPERSAMPLE
from tlx.data.scene.compose import MIN_VISIBLE, draw_street, render_scene
from tlx.data.scene.geometry import Points

__all__ = ["MIN_VISIBLE", "SUPERSAMPLE", "Points", "draw_street", "render_scene"]
