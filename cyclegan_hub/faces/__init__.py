"""Face detection, alignment by the eyes, and putting aligned faces back. No torch here."""

from cyclegan_hub.faces.align import Eyes, Similarity, align, alignment, own_side, put_back, region_of, warp
from cyclegan_hub.faces.find import Face, find_faces
from cyclegan_hub.faces.mtcnn import FaceFinderError

__all__ = [
    "Eyes",
    "Face",
    "FaceFinderError",
    "Similarity",
    "align",
    "alignment",
    "find_faces",
    "own_side",
    "put_back",
    "region_of",
    "warp",
]
