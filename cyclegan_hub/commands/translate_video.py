"""`cyclegan-hub translate MODEL clip.mp4 out.mp4`: video files and animations, one or a folder of them.

A result appears under its name when it is complete; the same command again makes only those that are missing or out of date.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, cast

from tqdm import tqdm

from cyclegan_hub.commands.translate import load_translator, model_record, options_record, shown
from cyclegan_hub.data.files import files_below, has_image
from cyclegan_hub.errors import counted
from cyclegan_hub.models.cycle_generator import Direction
from cyclegan_hub.models.inference import optimize_for_cpu
from cyclegan_hub.models.photograph import DEFAULT, Options
from cyclegan_hub.models.translate_many import check_options
from cyclegan_hub.video.read import VIDEO_EXTENSIONS, VideoError
from cyclegan_hub.video.translate import Progress, Translated, digest_of, translate_video
from cyclegan_hub.video.write import FORMATS, WRITTEN, comment_in

MARK = "cyclegan_hub "  # the comment in a result begins so, and ends with the digest of all that it depends on


def is_video_job(source: Path, out: Path) -> bool:
    """Whether `source` is to be translated as video: by its extension, by that of `out`, or as a folder of nothing but clips."""
    if source.is_dir():
        return not has_image(source) and bool(clips_in(source))
    return source.suffix.lower() in VIDEO_EXTENSIONS or out.suffix.lower() in WRITTEN


def clips_in(folder: Path) -> list[Path]:
    """The video files of a folder, at any depth, by name; hidden ones are left out."""
    found = (folder / name for name in files_below(folder, []))
    return sorted(path for path in found if path.suffix.lower() in VIDEO_EXTENSIONS and path.is_file())


def translate_clips(
    source: str,
    clips: Path,
    out: Path,
    *,
    options: Options = DEFAULT,
    direction: Direction | None = None,
    epoch: int | None = None,
    batch_size: int = 8,
    resolution: int | Literal["original"] | None = None,
) -> int:
    """Translates the clip `clips` into the file `out`, or each clip of a folder into the folder `out`.

    Returns 0, or 1 if clips of a folder were skipped. Raises ValueError or OSError for a mistake, before anything is written.
    """
    clips, out = clips.expanduser().resolve(), out.expanduser().resolve()
    jobs = _jobs(clips, out)
    model: Any = load_translator(source, epoch)
    direction = cast(Direction, direction or model.directions[0])
    eyes, skip = check_options(model, direction, options, resolution, False, batch_size)
    # All that a result depends on, besides its clip.
    record = model_record(model, direction, resolution) | options_record(options, eyes, skip)
    settings = sorted((record | ({"ensemble": True} if options.ensemble else {})).items())  # earlier results had none
    model = optimize_for_cpu(model)
    done = skipped = 0
    for clip, result in jobs:
        name = shown(clip.name)
        try:
            mark = MARK + digest_of(clip, settings)
            if result.exists():
                found = comment_in(result)
                if not found.startswith(MARK):
                    raise VideoError(f"{shown(result.name)} exists and was not written by translate: give another name")
                if found == mark:
                    print(f"{shown(str(result))} is there already")
                    done += 1
                    continue
            result.parent.mkdir(parents=True, exist_ok=True)
            with _progress(name) as progress:
                translated = translate_video(
                    model, clip, result, direction, options=options, resolution=resolution, batch_size=batch_size,
                    comment=mark, progress=progress,
                )  # fmt: skip
        except (VideoError, OSError) as error:
            if not clips.is_dir():
                raise
            skipped += 1
            reason = str(error) if isinstance(error, VideoError) else error.strerror or type(error).__name__
            print(f"skipped {name}: {reason}", file=sys.stderr)
            continue
        done += 1
        _report(name, result, translated)
    if clips.is_dir():
        left_out = f", {skipped:,} skipped" if skipped else ""
        print(f"{counted(done, 'clip')} translated{left_out}: in {shown(str(out))}")
    return 1 if skipped else 0


def _jobs(clips: Path, out: Path) -> list[tuple[Path, Path]]:
    """Each clip with its result."""
    if not clips.exists():
        raise VideoError(f"{clips}: there is no such file or folder")
    if out == clips:
        raise VideoError(f"{out} is what is to be translated: give another name for the result")
    if clips.is_file():
        if out.suffix.lower() not in WRITTEN or out.is_dir():
            raise VideoError(f"{out}: give the result of a video a name that ends in {', '.join(WRITTEN)}")
        return [(clips, out)]
    if out.is_file() or out.suffix.lower() in WRITTEN:
        raise VideoError(f"{out}: give the folder that the results are to be in")
    if out.is_relative_to(clips):
        raise VideoError(f"{out} lies in the folder of the clips: give another folder for the results")
    jobs: dict[Path, Path] = {}
    for clip in clips_in(clips):
        relative = clip.relative_to(clips)
        result = relative if relative.suffix.lower() in FORMATS else relative.with_suffix(".mp4")
        if out / result in jobs:
            result = relative.with_name(f"{relative.name}.mp4")
        jobs[out / result] = clip
    return [(clip, result) for result, clip in jobs.items()]


@contextmanager
def _progress(name: str) -> Iterator[Progress]:
    """A bar with the time left, where stderr is a terminal."""
    with tqdm(desc=name, unit=" frames", disable=None) as bar:

        def show(done: int, count: int | None) -> None:
            bar.total = count if count is None or count >= done else None
            bar.update(done - bar.n)

        yield show


def _report(name: str, result: Path, translated: Translated) -> None:
    for note in translated.notes:
        print(f"note: {name}: {note}", file=sys.stderr)
    print(f"{counted(translated.frames, 'frame')} of {translated.size[0]} x {translated.size[1]} px: {shown(str(result))}")
