"""OpenVINO without its telemetry.

`import openvino` also imports its model converter, which reports the import to Google Analytics unless the user opted
out (openvino/tools/ovc/__init__.py, 2026.4). OpenVINO takes a converter that cannot be imported for one that is not
installed, so it is made not importable, for good: nothing here converts models. It also makes the import half a second
shorter. Import `ov` and `op` from here, never from openvino.
"""

import sys
from types import ModuleType
from typing import cast

sys.modules["openvino.tools.ovc"] = cast(ModuleType, None)

import openvino as ov  # noqa: E402 - what stands above must come first
from openvino import opset13 as op  # noqa: E402

__all__ = ["op", "ov"]
