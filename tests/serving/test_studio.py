"""serving/studio.py: the Studio on tiny models: images, batches, many threads at once, and the models it keeps."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cyclegan_hub import CycleGenerator, checkpoints
from cyclegan_hub.imaging import images
from cyclegan_hub.serving import studio as serving
from cyclegan_hub.serving.studio import Studio
from support.messages import refusal
from support.pictures import encoded, picture
from support.pixels import assert_same_pixels, same_pixels
from support.served_models import models as models
from support.served_models import translate
from support.tiny_models import folder, model


@pytest.fixture(scope="module")
def studio(models: Path) -> Studio:
    return Studio(str(models))


# --- one picture


@pytest.mark.parametrize(
    ("epoch", "number"), [(None, 10), ("main", 10), ("", 10), (5, 5), (5.0, 5), ("5", 5), ("epoch-005", 5), (100, 100)]
)
def test_translations_are_those_of_the_model(studio: Studio, epoch: Any, number: int) -> None:
    source, own = picture(0, (40, 50)), model(number, domain="monet", labels=("photo", "Monet"))
    result = translate(studio, source, "monet", "b_to_a", epoch)
    assert result.epoch.number == number and result.back is None and result.notes == ()
    assert result.before == images.resize_short(source, 32) and result.after.size == (32, 40)
    assert_same_pixels(result.after, own.translate(source, "b_to_a"))
    assert not same_pixels(result.after, own.translate(source, "a_to_b"))


def test_a_reconstruction(studio: Studio) -> None:
    source = picture(0, (32, 32))
    for direction, reverse in (("a_to_b", "b_to_a"), ("b_to_a", "a_to_b")):
        result = translate(studio, encoded(0, (32, 32)), "monet", direction, 5, reconstruct=True)
        assert result.back is not None
        assert_same_pixels(result.after, model(5).translate(source, direction))
        assert_same_pixels(result.back, model(5).translate(result.after, reverse))


def test_original_size(studio: Studio, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(encoded(0, (61, 45)))
    result = translate(studio, str(path), "monet", original_size=True)
    assert result.before == picture(0, (61, 45))
    assert_same_pixels(result.after, model(10).translate(path, resolution="original"))


def test_a_grey_model(studio: Studio) -> None:
    result = translate(studio, picture(0, (32, 32)), "zebra")
    assert result.notes == ("This model sees and makes grey pictures only.",)
    assert result.before.mode == result.after.mode == "RGB" and result.before == picture(0, (32, 32)).convert("L").convert("RGB")
    assert_same_pixels(result.after, model(None, channels=1).translate(picture(0, (32, 32))).convert("RGB"))


def test_what_is_not_there(studio: Studio) -> None:
    image = picture(0)
    assert refusal(translate, studio, image, "<b>") == "No domain '\u2039b\u203a'; there are: smile, monet, zebra."
    assert refusal(studio.model, ["monet"]).startswith("No domain '['monet']'")
    for action in (studio.model, studio.card):
        assert refusal(action, "nowhere") == "No domain 'nowhere'; there are: smile, monet, zebra."
    assert refusal(translate, studio, image, "monet", "up") == "No direction 'up'; there are a_to_b and b_to_a."
    for epoch in (15, "epoch-5", True, 5.5, "9" * 5000, [5], "../x"):
        message = refusal(studio.card, "monet", epoch)
        assert message.startswith("Monet has no epoch '") and message.endswith("there are: 5, 10, 100.")
    assert refusal(translate, studio, image, "smile", "a_to_b", 5) == (
        "Smile has no epoch '5'; it has only one: leave the epoch out."
    )


def test_a_model_whose_numbers_are_broken(tmp_path: Path) -> None:
    broken = model(5)
    with torch.no_grad():
        next(broken.a_to_b.parameters()).fill_(torch.nan)
    broken.save_pretrained(tmp_path / "smile")
    assert refusal(translate, Studio(None, tmp_path), picture(0), "smile").startswith("The image holds NaN: its generator")


def test_a_picture_that_does_not_fit_the_memory(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_memory(*_: Any, **__: Any) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes")

    monkeypatch.setattr(CycleGenerator, "translate", out_of_memory)
    assert refusal(translate, studio, picture(0), "monet") == (
        "This picture needs more memory than there is here: give a smaller one."
    )


# --- every epoch


def test_every_epoch_in_a_row_and_in_a_zip(studio: Studio, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    source = picture(0, (32, 32))
    pictures = studio.every_epoch(studio.open(source, "monet", "b_to_a"), progress=lambda *x: seen.append(x))
    labels = ["Epoch 5", "Epoch 10 · best", "Epoch 100"]
    assert seen == [(1, 3), (2, 3), (3, 3)] and [one.epoch.label for one in pictures] == labels
    for one, number in zip(pictures, (5, 10, 100), strict=True):
        assert_same_pixels(one.after, model(number).translate(source, "b_to_a"))
    assert all(one.before == one.given == source for one in pictures)


@pytest.mark.parametrize(("size", "shown"), [((32, 32), (512, 512)), ((2000, 1000), (768, 384)), ((600, 300), (600, 300))])
def test_pictures_are_shown_at_one_size_and_the_input_from_the_file(
    studio: Studio, size: tuple[int, int], shown: tuple[int, int]
) -> None:
    source = picture(0, size)
    result = translate(studio, source, "monet", reconstruct=True)
    before, after, back = result.shown()
    assert back is not None and before.size == after.size == back.size == shown
    assert before == source.resize(shown, Image.Resampling.LANCZOS) and after == result.after.resize(
        shown, Image.Resampling.LANCZOS
    )
    before, after, _ = result.shown(as_model_sees=True)
    assert before == result.before.resize(shown, Image.Resampling.NEAREST) and after.size == shown


def test_colour_histograms(studio: Studio) -> None:
    red, blue = Image.new("RGB", (9, 9), (200, 0, 0)), Image.new("RGB", (9, 9), (0, 0, 200))
    result = translate(studio, red, "monet")
    plotted, same = (replace(result, before=red, after=after).histogram() for after in (blue, red))
    assert plotted.mode == "RGB" and plotted.tobytes() == replace(result, before=red, after=blue).histogram().tobytes()
    other = np.asarray(same) != np.asarray(plotted)
    assert not other[: plotted.height // 2].any() and other[plotted.height // 2 :].any()


# --- several files


def test_a_batch_delivers_what_it_can(studio: Studio, tmp_path: Path) -> None:
    given, out = tmp_path / "in", tmp_path / "out"
    out.mkdir()
    for name in ("a", "b"):
        (given / name).mkdir(parents=True)
    (given / "a/photo.jpg").write_bytes(encoded(1, (40, 32)))
    (given / "b/photo.jpg").write_bytes(encoded(2, (32, 32), "JPEG"))
    (given / "b/<img src=x onerror=alert(1)>.png").write_bytes(b"<html>")
    (given / "b/strip.png").write_bytes(encoded(3, (500, 3)))
    files = [*sorted(given.glob("*/*.*")), given / "gone.png"]
    seen: list[tuple[int, int]] = []
    batch = studio.translate_batch(files, "monet", epoch=5, folder=out, progress=lambda *x: seen.append(x))
    assert seen == [(n, 5) for n in range(1, 6)] and batch.done == 2 and batch.zip and batch.zip.name == "a_to_b.zip"
    with zipfile.ZipFile(batch.zip) as file:
        found = {name: images.decode(file.read(name)) for name in file.namelist()}
    assert list(found) == ["photo.png", "2 photo.png"]
    for one, path in zip(found.values(), (files[0], given / "b/photo.jpg"), strict=True):
        assert_same_pixels(one, model(5).translate(path))
    assert [name for name, _ in batch.thumbnails] == list(found)
    assert len(batch.errors) == 3 and not any("<" in line or str(tmp_path) in line or "\n" in line for line in batch.errors)
    named = ["\u2039img src=x onerror=alert(1)\u203a.png", "strip.png", "gone.png"]
    assert [line.split(": ")[0] for line in batch.errors] == named


def test_a_batch_without_any_result(studio: Studio, tmp_path: Path) -> None:
    batch = studio.translate_batch([tmp_path / "none.png"], "monet", folder=tmp_path)
    assert (batch.zip, batch.done, batch.thumbnails, len(batch.errors)) == (None, 0, [], 1) and list(tmp_path.iterdir()) == []


def test_batches_are_bounded(studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(encoded(0, (2000, 700)))
    assert refusal(studio.translate_batch, [], "monet", folder=tmp_path) == "0 files: give between 1 and 200 at a time."
    assert "201 files" in refusal(studio.translate_batch, [path] * 201, "monet", folder=tmp_path)
    monkeypatch.setattr(serving, "THUMBNAILS", 2)
    batch = studio.translate_batch([path] * 3, "zebra", folder=tmp_path)
    assert batch.done == 3 and [name for name, _ in batch.thumbnails] == ["x.png", "2 x.png"]
    assert "could not be stored" in refusal(studio.translate_batch, [path], "monet", folder=tmp_path / "none")


def test_a_batch_that_is_called_off_leaves_nothing(studio: Studio, tmp_path: Path) -> None:
    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    (tmp_path / "x.png").write_bytes(encoded(0))
    with pytest.raises(KeyboardInterrupt):
        studio.translate_batch([tmp_path / "x.png"] * 2, "monet", folder=tmp_path, progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


# --- many at once


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The name of every model that is loaded, as it is loaded."""
    original, names = checkpoints.load, []

    def load(source: str, epoch: str | None = None, **options: Any) -> CycleGenerator:
        names.append(f"{Path(source).name} {epoch}")
        return original(source, epoch, **options)

    monkeypatch.setattr(checkpoints, "load", load)
    return names


def test_thirty_threads_load_once_and_translate_one_at_a_time(
    models: Path, loads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    original, inside, alone = CycleGenerator.translate, threading.Semaphore(1), []

    def exclusive(*arguments: Any, **options: Any) -> Any:
        alone.append(inside.acquire(blocking=False))
        try:
            return original(*arguments, **options)
        finally:
            inside.release()

    monkeypatch.setattr(CycleGenerator, "translate", exclusive)
    studio = Studio(str(models))
    start = threading.Barrier(30)

    def ask(i: int) -> Image.Image:
        start.wait()
        return translate(studio, picture(i % 3), "monet", epoch=(5, 10)[i % 2]).after

    with ThreadPoolExecutor(30) as pool:
        results = list(pool.map(ask, range(30)))
    assert sorted(loads) == ["monet None", "monet epoch-005"] and alone == [True] * 30
    assert all(results[i] == results[i % 6] for i in range(30)) and len({x.tobytes() for x in results}) == 6


def test_the_last_used_models_are_kept(models: Path, loads: list[str]) -> None:
    studio = Studio(str(models), cache_models=2)
    for epoch in (5, 10, 5, 100, 5, 10):
        translate(studio, picture(0), "monet", epoch=epoch)
    assert loads == ["monet epoch-005", "monet None", "monet epoch-100", "monet None"] and len(studio._cache.loaded) == 2


def test_a_load_that_failed_is_tried_again(models: Path, tmp_path: Path) -> None:
    path = tmp_path / "monet"
    shutil.copytree(models / "monet", path)
    studio = Studio(str(tmp_path))
    weights = path / "epochs" / "epoch-005" / "model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[:100])
    message = refusal(translate, studio, picture(0), "monet", epoch=5)
    assert message.startswith("Epoch 5 of monet cannot be loaded (monet") and "model.safetensors cannot be read" in message
    weights.write_bytes(data)
    assert_same_pixels(translate(studio, picture(0), "monet", epoch=5).after, model(5).translate(picture(0)))


def test_new_epochs_appear(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    studio = Studio(str(folder(tmp_path / "smile", 5)))
    folder(tmp_path / "smile", 10)
    assert [epoch.number for epoch in studio.model("smile").epochs] == [5] and studio._refreshing is None
    monkeypatch.setattr(serving, "REFRESH_AFTER", 0)
    studio.models()
    assert studio._refreshing
    studio._refreshing.join()
    assert [epoch.number for epoch in studio.model("smile").epochs] == [5, 10]


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_models_stay_while_their_folder_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    studio = Studio(str(folder(tmp_path / "smile", 5)))
    (tmp_path / "smile").rename(tmp_path / "away")
    monkeypatch.setattr(serving, "REFRESH_AFTER", 0)
    assert [model.name for model in studio.models()] == ["smile"] and studio._refreshing
    studio._refreshing.join()
    assert [model.name for model in studio.models()] == ["smile"]
    studio._refreshing.join()


def test_requests_are_run_in_the_order_in_which_they_came(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    studio, released, order = Studio(str(models)), threading.Event(), list[int]()
    monkeypatch.setattr(CycleGenerator, "translate", lambda _, given, *__, **___: (order.append(given[0].width), given)[1])
    studio._worker.submit(released.wait)
    with ThreadPoolExecutor(8) as pool:
        for number in range(8):
            pool.submit(translate, studio, Image.new("RGB", (32 + number, 32)), "monet")
            while studio._worker._work_queue.qsize() <= number:  # it waits before the next one comes
                time.sleep(0.001)
        released.set()
    assert order == list(range(32, 40))


def test_a_stop_drops_the_requests_that_wait(tmp_path: Path) -> None:
    studio, released = Studio(None, tmp_path), threading.Event()
    running, waiting = studio._worker.submit(released.wait), studio._worker.submit(released.wait)
    studio.close()
    released.set()
    assert running.result() and waiting.cancelled()


# --- what is around it


def test_no_models(tmp_path: Path) -> None:
    studio = Studio(None, tmp_path)
    assert studio.models() == [] and refusal(translate, studio, picture(0), "smile") == studio.status()
    assert studio.status().startswith("There are no models yet. Train one")


def test_bundled_models_need_no_network_and_little_import(models: Path) -> None:
    """In a process where every connection is an error: what is bundled serves, without the libraries of training."""
    code = f"""
import socket, sys
def refuse(*_): raise AssertionError("a connection was opened")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
from pathlib import Path
from PIL import Image
from cyclegan_hub.serving.studio import Studio
studio = Studio(None, Path({str(models)!r}))
studio.translate(studio.open(Image.new("RGB", (9, 9)), "monet"), reconstruct=True)
studio.card("monet"), studio.status(), studio.model("smile").epochs
unwanted = "gradio accelerate datasets diffusers kornia matplotlib pyarrow scipy torchmetrics".split()
print([name for name in unwanted if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
