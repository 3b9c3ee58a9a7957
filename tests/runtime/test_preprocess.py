"""Pictures become tensors as torchvision makes them, by the recipe in the model's metadata."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convc.compiler.errors import ModelError
from convc.runtime.preprocess import PREPROCESS_KEY, Preprocess, fitted, labels, stated, tensor
from convc.runtime.signature import Value

IMAGENET = {
    "scale": 1 / 255, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225],
    "resize": 256, "crop": 224, "color": "rgb", "embed": False,
}  # fmt: skip
OPEN = Value("image", "float32", ("N", 3, "H", "W"))


def _fixed(height: int, width: int, channels: int = 3, dtype: str = "float32") -> Value:
    return Value("image", dtype, ("N", channels, height, width))


def _recipe(**fields: Any) -> Preprocess:
    found = stated({PREPROCESS_KEY: json.dumps(fields)})
    assert found is not None
    return found


def _picture(height: int, width: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_metadata_becomes_a_recipe() -> None:
    recipe = _recipe(**IMAGENET)
    assert (recipe.resize, recipe.crop, recipe.color, recipe.embed) == (256, (224, 224), "rgb", False)
    assert recipe.mean == (0.485, 0.456, 0.406)
    assert stated({}) is None


@pytest.mark.parametrize(("height", "width"), [(300, 500), (500, 300), (256, 256), (257, 1000), (40, 100)])
def test_resize_crop_and_values_are_torchvisions(height: int, width: int) -> None:
    picture = _picture(height, width)
    got = tensor(picture, _recipe(**IMAGENET), _fixed(224, 224))
    # The same by hand: the shorter side to 256, the longer floor(256 long / short), PIL's antialiased bilinear.
    short = min(height, width)
    size = (256 * width // short, 256 * height // short)
    sized = np.asarray(picture.resize(size, Image.Resampling.BILINEAR), np.float64)
    top, left = round((size[1] - 224) / 2), round((size[0] - 224) / 2)
    crop = sized[top : top + 224, left : left + 224] / 255
    expected = ((crop - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]).transpose(2, 0, 1)
    assert got.shape == (1, 3, 224, 224)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got[0], expected, rtol=1e-6, atol=1e-6)


def test_crop_beyond_the_picture_is_black() -> None:
    white = Image.new("RGB", (3, 2), "white")
    got = tensor(white, Preprocess(scale=1 / 255, crop=(4, 6)), OPEN)[0, 0]
    assert got.tolist() == [[0] * 6, [0, 1, 1, 1, 0, 0], [0, 1, 1, 1, 0, 0], [0] * 6]


def test_bgr_reverses_the_channels() -> None:
    red = Image.new("RGB", (2, 2), (255, 0, 10))
    assert tensor(red, _recipe(color="bgr"), OPEN)[0, :, 0, 0].tolist() == [10, 0, 255]


def test_grey_model_takes_the_luminance_of_a_colour_picture() -> None:
    picture = _picture(8, 8)
    got = tensor(picture, Preprocess(), _fixed(8, 8, channels=1))
    assert np.array_equal(got[0, 0], np.asarray(picture.convert("L"), np.float32))


def test_embedded_arithmetic_is_left_to_the_graph() -> None:
    picture = _picture(4, 4)
    got = tensor(picture, _recipe(**{**IMAGENET, "embed": True, "resize": None, "crop": None}), OPEN)
    assert np.array_equal(got[0].transpose(1, 2, 0), np.asarray(picture))


def test_another_fixed_size_scales_both_sizes_and_says_so() -> None:
    recipe, notes = fitted(_recipe(**IMAGENET), _fixed(112, 112))
    assert (recipe.resize, recipe.crop) == (128, (112, 112))
    assert notes == ("crop 224x224 became 112x112, the model's size; resize 128",)
    assert tensor(_picture(300, 200), recipe, _fixed(112, 112)).shape == (1, 3, 112, 112)


def test_oblong_model_is_filled_from_any_picture() -> None:
    wanted = _fixed(192, 256)
    recipe, _ = fitted(_recipe(**IMAGENET), wanted)
    white = Image.new("RGB", (300, 900), "white")
    assert tensor(white, Preprocess(resize=recipe.resize, crop=recipe.crop), wanted).min() == 255


def test_fitting_sizes_change_nothing() -> None:
    recipe = _recipe(**IMAGENET)
    assert fitted(recipe, _fixed(224, 224)) == (recipe, ())
    assert fitted(recipe, OPEN) == (recipe, ())


@pytest.mark.parametrize(
    ("fields", "resize", "crop"), [({}, (32, 48), None), ({"resize": 40}, 40, (32, 48))], ids=["nothing", "resize"]
)
def test_unstated_crop_follows_the_model_and_says_so(fields: dict[str, Any], resize: Any, crop: Any) -> None:
    recipe, notes = fitted(_recipe(**fields), _fixed(32, 48))
    assert (recipe.resize, recipe.crop) == (resize, crop)
    assert "no crop is stated" in notes[0]
    assert tensor(_picture(70, 60), recipe, _fixed(32, 48)).shape == (1, 3, 32, 48)


BAD = {
    "not JSON": "{",
    "a list": "[]",
    "deep": "[" * 100_000,
    "unknown key": '{"gamma": 2}',
    "text for a number": '{"scale": "1/255"}',
    "zero size": '{"crop": 0}',
    "huge size": '{"resize": 10000000}',
    "three sides": '{"crop": [1, 2, 3]}',
    "zero spread": '{"std": [1, 0, 1]}',
    "NaN": '{"mean": [NaN]}',
    "colour": '{"color": "cmyk"}',
    "filter": '{"interpolation": "box"}',
}


@pytest.mark.parametrize("name", BAD)
def test_recipe_that_cannot_be_followed_is_a_model_error(name: str) -> None:
    with pytest.raises(ModelError, match=r"convc\.preprocess"):
        stated({PREPROCESS_KEY: BAD[name]})


def test_mean_of_another_channel_count_is_refused() -> None:
    with pytest.raises(ModelError, match="mean has 2 values for 3 channels"):
        tensor(_picture(4, 4), _recipe(mean=[0, 0]), OPEN)


@pytest.mark.parametrize(
    "wanted",
    [
        Value("x", "float32", ("N", 10)),
        Value("x", "float32", ("N", 4, 8, 8)),
        Value("x", "float32", ("N", 3, 8, 8, 8)),
        Value("x", "int64", ("N", 3, 8, 8)),
    ],
    ids=str,
)
def test_input_that_is_no_picture_is_refused(wanted: Value) -> None:
    with pytest.raises(ModelError, match="picture"):
        tensor(_picture(8, 8), Preprocess(), wanted)


def test_whole_numbers_fit_a_uint8_input_and_fractions_do_not() -> None:
    picture = _picture(4, 4)
    got = tensor(picture, Preprocess(), _fixed(4, 4, dtype="uint8"))
    assert np.array_equal(got[0].transpose(1, 2, 0), np.asarray(picture))
    with pytest.raises(ModelError, match="whole numbers"):
        tensor(picture, Preprocess(scale=1 / 255), _fixed(4, 4, dtype="uint8"))


def test_labels_are_a_list_of_names() -> None:
    assert labels({"convc.labels": '["cat", "dog"]'}) == ("cat", "dog")
    assert labels({}) == ()
    for text in ("{}", "[1]", "cat"):
        with pytest.raises(ModelError, match=r"convc\.labels"):
            labels({"convc.labels": text})
