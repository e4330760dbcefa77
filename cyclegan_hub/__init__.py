"""Unpaired image-to-image translation as a package: train, publish, load and serve CycleGANs.

    from cyclegan_hub import CycleGenerator
    model = CycleGenerator.from_pretrained("user/smile")
    model.translate("selfie.jpg", direction="a_to_b").save("smiling.png")

Names are loaded on first use (PEP 562), so that `import cyclegan_hub.recipes` and `OnnxGenerator` need no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cyclegan_hub.models.cycle_generator import CycleGenerator
    from cyclegan_hub.models.dcgan import DCGAN, FaceGenerator
    from cyclegan_hub.models.onnx import OnnxGenerator
    from cyclegan_hub.models.paired_generator import PairedGenerator

__version__ = "0.1.0"
__all__ = ["DCGAN", "CycleGenerator", "FaceGenerator", "OnnxGenerator", "PairedGenerator", "__version__"]

_LAZY = {
    "CycleGenerator": "cyclegan_hub.models.cycle_generator",
    "DCGAN": "cyclegan_hub.models.dcgan",
    "FaceGenerator": "cyclegan_hub.models.dcgan",  # the former name of DCGAN
    "OnnxGenerator": "cyclegan_hub.models.onnx",
    "PairedGenerator": "cyclegan_hub.models.paired_generator",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
