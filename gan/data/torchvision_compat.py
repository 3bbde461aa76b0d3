"""torchvision, also beside a CPU-only torch.

torchvision wheels from the default package index are built with CUDA. Beside a CPU build of
torch their compiled operators do not load, and ``import torchvision`` fails with "operator
torchvision::nms does not exist" because it registers shapes for operators that are absent.
We need its data sets only, none of its operators, so declaring the two missing schemas is
enough. Nothing is declared where the import works by itself.
"""

from __future__ import annotations

import sys
from types import ModuleType

import torch

from gan.errors import DataError

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_declared: list[torch.library.Library] = []  # a Library takes its schemas with it when it dies


def import_datasets() -> ModuleType:
    """torchvision.datasets. DataError, naming the remedy, where torchvision is absent or broken."""
    try:
        return _import()
    except ImportError as error:
        raise DataError(
            f"torchvision is needed to read MNIST and is not installed ({error}); "
            "run: pip install -r requirements.txt"
        ) from error
    except RuntimeError as error:
        if "torchvision::" not in str(error) or _declared:
            raise DataError(
                f"torchvision does not fit this torch {torch.__version__} ({error}); "
                "install both from the same index, see the README"
            ) from error
    library = torch.library.Library("torchvision", "DEF")
    for schema in _SCHEMAS:
        library.define(schema)
    _declared.append(library)
    for name in [n for n in sys.modules if n == "torchvision" or n.startswith("torchvision.")]:
        del sys.modules[name]  # the failed import leaves half-made modules behind
    return _import()


def _import() -> ModuleType:
    from torchvision import datasets

    return datasets
