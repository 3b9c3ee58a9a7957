"""One inference from file to file: arrays and pictures in, best classes or a `.npz` out."""

from __future__ import annotations

import io
import json
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convc.compiler.errors import ModelError, OutputError, UsageError
from convc.runtime.run import predict, run
from tests.runtime.models import classifier, identity, relu, save

PIXELS = np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8)
METADATA = {
    "convc.preprocess": json.dumps({"scale": 1 / 255, "mean": [0.5], "std": [0.25], "resize": 8, "crop": 8}),
    "convc.labels": json.dumps([f"kind {i}" for i in range(7)]),
}


@pytest.fixture
def net(tmp_path: Path) -> Path:
    return save(classifier(metadata=METADATA), tmp_path / "net.onnx")


@pytest.fixture
def echo(tmp_path: Path) -> Path:
    """Gives back its input, pixels as they are."""
    raw = {"convc.preprocess": "{}"}
    return save(identity(("N", 3, "H", "W"), metadata=raw), tmp_path / "echo.onnx")


def _pixels(model: Path, source: Path) -> np.ndarray[Any, Any]:
    """(H, W, C): what the model was fed."""
    out = model.with_name("seen.npz")
    run(model, source, out, provider="cpu")
    with np.load(out) as seen:
        return np.asarray(seen["same"][0].transpose(1, 2, 0))


def test_picture_gives_the_five_best_classes_with_labels(net: Path, tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    report = run(net, tmp_path / "a.png", provider="cpu")
    matrix = np.random.default_rng(0).standard_normal((3, 7)).astype(np.float32)
    logits = ((PIXELS / 255 - 0.5) / 0.25).mean(axis=(0, 1)) @ matrix
    best = np.argsort(-logits)[:5]
    assert [one.class_index for one in report.predictions] == best.tolist()
    assert [one.label for one in report.predictions] == [f"kind {k}" for k in best]
    np.testing.assert_allclose([one.logit for one in report.predictions], logits[best], rtol=1e-4)
    softmax = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose([one.probability for one in report.predictions], softmax[best], rtol=1e-4)
    assert f"kind {best[0]}" in report.text().splitlines()[2]
    assert json.loads(json.dumps(report.data()))["predictions"][0]["class_index"] == best[0]


def test_npy_goes_in_as_it_is_and_npz_comes_out(net: Path, tmp_path: Path) -> None:
    x = np.random.default_rng(2).standard_normal((2, 3, 8, 8)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    report = run(net, tmp_path / "x.npy", tmp_path / "y.npz", provider="cpu", threads=1)
    matrix = np.random.default_rng(0).standard_normal((3, 7)).astype(np.float32)
    with np.load(tmp_path / "y.npz") as out:
        np.testing.assert_allclose(out["scores"], x.mean(axis=(2, 3)) @ matrix, rtol=1e-4, atol=1e-5)
    assert sorted({one.sample for one in report.predictions}) == [0, 1]
    assert report.text().endswith(f"outputs written to {tmp_path / 'y.npz'}")


def test_npz_feeds_by_name_and_a_lone_array_feeds_the_only_input(net: Path, tmp_path: Path) -> None:
    x = np.ones((1, 3, 8, 8), np.float32)
    np.savez(tmp_path / "named.npz", image=x)
    np.savez(tmp_path / "lone.npz", x)
    named = run(net, tmp_path / "named.npz", provider="cpu")
    lone = run(net, tmp_path / "lone.npz", provider="cpu")
    assert named.predictions == lone.predictions
    assert named.notes == ()
    assert lone.notes == ("array 'arr_0' feeds the only input, 'image'",)
    np.savez(tmp_path / "other.npz", a=x, b=x)
    with pytest.raises(ModelError, match="no input 'a'"):
        run(net, tmp_path / "other.npz", provider="cpu")


def test_png_pixels_arrive_as_they_are(echo: Path, tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    assert np.array_equal(_pixels(echo, tmp_path / "a.png"), PIXELS)


def test_jpeg_is_turned_upright_by_its_exif(echo: Path, tmp_path: Path) -> None:
    upright = Image.new("RGB", (16, 8), "black")
    upright.paste("white", (0, 0, 8, 8))
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "a.jpg", exif=exif, quality=95)
    seen = _pixels(echo, tmp_path / "a.jpg")
    assert seen.shape == (8, 16, 3)
    assert seen[:, :8].min() > 200
    assert seen[:, 8:].max() < 55


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "CMYK", "YCbCr"])
def test_every_colour_mode_becomes_rgb(mode: str, echo: Path, tmp_path: Path) -> None:
    picture = Image.fromarray(PIXELS).convert(mode)
    path = tmp_path / ("a.tiff" if mode in ("CMYK", "YCbCr") else "a.png")
    picture.save(path)
    with Image.open(path) as stored:
        expected = np.asarray(stored.convert("RGB"), np.float32)
    assert np.array_equal(_pixels(echo, path), expected)


def test_alpha_is_dropped_and_said(echo: Path, tmp_path: Path) -> None:
    alpha = np.full((8, 8, 1), 7, np.uint8)
    Image.fromarray(np.concatenate([PIXELS, alpha], axis=2)).save(tmp_path / "a.png")
    assert np.array_equal(_pixels(echo, tmp_path / "a.png"), PIXELS)
    assert "transparency dropped" in run(echo, tmp_path / "a.png", provider="cpu").notes


def test_sixteen_bit_grey_keeps_its_range(echo: Path, tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 65535, 32768]], np.uint16)).save(tmp_path / "a.png")
    assert _pixels(echo, tmp_path / "a.png")[0, :, 0].tolist() == [0, 255, 128]
    assert "16-bit grey reduced to 8 bits" in run(echo, tmp_path / "a.png", provider="cpu").notes


def test_first_frame_of_an_animation(echo: Path, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("white", "black")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert _pixels(echo, tmp_path / "a.gif").min() == 255
    assert "first frame of several" in run(echo, tmp_path / "a.gif", provider="cpu").notes


def _png(width: int, height: int, data: bytes = b"") -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def _encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.tile(PIXELS, (8, 8, 1))).save(buffer, kind)
    return buffer.getvalue()


PNG, JPEG = _encoded("png"), _encoded("jpeg")
BAD_PICTURES = {
    "empty": (b"", "neither"),
    "text": (b"<svg/>", "neither"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "neither"),
    "large claim": (_png(12_000, 12_000), "claims 12000x12000 pixels"),
    "huge claim": (_png(2**30, 2**30), "claims far too many pixels|claims 1073741824x"),
    "png cut short": (PNG[: len(PNG) // 2], "cannot be read"),
    "jpeg cut short": (JPEG[: len(JPEG) // 2], "cannot be read"),
    "png without pixels": (_png(8, 8), "cannot be read"),
    "png header only": (PNG[:20], "neither|cannot be read"),
}


@pytest.mark.parametrize("name", BAD_PICTURES)
def test_bad_picture_is_a_model_error(name: str, net: Path, tmp_path: Path) -> None:
    data, expected = BAD_PICTURES[name]
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(ModelError, match=expected) as caught:
        run(net, tmp_path / "a.png", provider="cpu")
    assert caught.value.exit_code == 2


def test_deep_pixels_are_refused(net: Path, tmp_path: Path) -> None:
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "a.tiff")
    with pytest.raises(ModelError, match="32-bit pixels"):
        run(net, tmp_path / "a.tiff", provider="cpu")


@pytest.mark.parametrize(("name", "said"), [("none.png", "no such file"), (".", "is a folder"), ("pipe", "is a pipe")])
def test_input_that_is_not_there(name: str, said: str, net: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelError, match=said):
        run(net, tmp_path / name, provider="cpu")


def test_model_without_a_recipe_says_what_was_assumed(tmp_path: Path) -> None:
    Image.new("RGB", (20, 10), "white").save(tmp_path / "a.png")
    report = run(save(identity(), tmp_path / "m.onnx"), tmp_path / "a.png", provider="cpu")
    assert report.notes == (
        "the model states no preprocessing: pixels scaled to 0..1",
        "picture resized to 8x8: no crop is stated",
    )
    assert report.outputs[0].maximum == 1.0
    assert "same  float32 [1, 3, 8, 8]  min 1" in report.text()


def test_fixed_batch_is_filled_with_the_picture(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    report = run(save(classifier((2, 3, 8, 8)), tmp_path / "m.onnx"), tmp_path / "a.png", provider="cpu")
    assert "the model's batch is 2: the picture was repeated" in report.notes
    assert [one.class_index for one in report.predictions[:5]] == [one.class_index for one in report.predictions[5:]]


def test_output_is_refused_before_the_work(net: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", image=np.ones((1, 3, 8, 8), np.float32))
    with pytest.raises(UsageError, match=r"must be a \.npz"):
        run(net, tmp_path / "x.npz", tmp_path / "y.txt", provider="cpu")
    with pytest.raises(UsageError, match="is read by this very run"):
        run(net, tmp_path / "x.npz", tmp_path / "x.npz", provider="cpu")
    with pytest.raises(OutputError, match="there is no folder"):
        run(net, tmp_path / "x.npz", tmp_path / "none" / "y.npz", provider="cpu")


def test_nan_scores_name_no_classes(net: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.full((1, 3, 8, 8), np.nan, np.float32))
    report = run(net, tmp_path / "x.npy", provider="cpu")
    assert report.predictions == ()
    assert report.notes == ("the scores are not finite: no classes are named",)
    assert (report.outputs[0].non_finite, report.outputs[0].minimum) == (7, None)
    assert "no finite values" in report.text()
    json.dumps(report.data(), allow_nan=False)


def test_probabilities_are_not_squashed_again() -> None:
    found, notes = predict({"p": np.array([[0.7, 0.2, 0.1]], np.float32)})
    assert found[0].probability == pytest.approx(0.7)
    assert notes == ("the output is probabilities already",)


def test_labels_of_another_count_are_left_out_and_said() -> None:
    found, notes = predict({"p": np.array([[7.0, 2.0, 1.0]], np.float32)}, ("cat", "dog"))
    assert found[0].label == ""
    assert notes == ("the model has 2 labels for 3 classes: they are left out",)


def test_scores_may_have_axes_of_one_and_maps_are_no_scores() -> None:
    found, _ = predict({"map": np.zeros((1, 3, 4, 4), np.float32), "p": np.array([[[[1.0]], [[2.0]]]], np.float32)})
    assert [one.class_index for one in found] == [1, 0]
    assert predict({"map": np.zeros((1, 3, 4, 4), np.float32)}) == ((), ())


def test_report_says_which_provider_and_why(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((1, 3), np.float32))
    report = run(save(relu(), tmp_path / "m.onnx"), tmp_path / "x.npy")
    assert f"m.onnx on {report.provider.name} ({report.provider.why})" in report.text()
    assert report.data()["schema_version"] == 1
    assert report.data()["provider"]["asked"] is False
