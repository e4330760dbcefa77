"""Several faces followed from frame to frame."""

from __future__ import annotations

from cyclegan_hub.faces import Face
from cyclegan_hub.faces.track import MAX_MISSED, Track, follow_all


def face(x: float, apart: float = 20) -> Face:
    eyes = (complex(x, 50), complex(x + apart, 50))
    return Face((x - 20, 20, x + 40, 90), (*eyes, complex(x, 60), complex(x, 70), complex(x, 70)), 0.99)


def lefts(tracks: list[Track]) -> list[float]:
    return [track.face.eyes[0].real for track in tracks]


def test_each_face_continues_the_nearest_track_whatever_their_order() -> None:
    tracks = follow_all([], [face(0), face(100)])
    tracks = follow_all(tracks, [face(110), face(10)])
    assert lefts(tracks) == [10, 110]  # half a distance of the eyes: followed at once


def test_a_small_move_is_smoothed() -> None:
    (track,) = follow_all([Track(face(0))], [face(1)])
    assert 0 < track.face.eyes[0].real < 0.5


def test_a_new_face_begins_a_track_and_a_lost_one_ends_it() -> None:
    tracks = follow_all([Track(face(0))], [face(0), face(200)])
    assert lefts(tracks) == [0, 200]
    for _ in range(MAX_MISSED):
        tracks = follow_all(tracks, [face(200)])
        assert lefts(tracks) == [0, 200]
    assert lefts(follow_all(tracks, [face(200)])) == [200]


def test_two_faces_never_share_a_track() -> None:
    assert lefts(follow_all([Track(face(0))], [face(5), face(15)])) == [5, 15]
