import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from featlib import FeatlibError
from featlib.errors import ImageError
from featlib.images import (
    RESIZERS,
    cover,
    list_pending,
    load_images,
    load_samples,
    open_image,
    resizer_name,
    use_resizer,
)

FASTEST = resizer_name()
SIZES = [(224, 224), (96, 96), (224, 160), (160, 224), (299, 331)]
# Where no wheel of cykooz exists, Pillow is the only resizer and is compared with itself.
AVAILABLE = list(dict.fromkeys([FASTEST, "pillow"]))


@pytest.fixture(params=AVAILABLE)
def resizer(request):
    use_resizer(request.param)
    yield request.param
    use_resizer(FASTEST)


def pictures():
    """The built-in photographs as they are, and turned: rows are cropped instead of columns."""
    for item in load_samples("photos"):
        image = Image.fromarray(item.pixels)
        yield item.name, image
        yield f"{item.name} turned", image.transpose(Image.Transpose.ROTATE_90)


def crop_box(image, height, width):
    """(left, top, right, bottom) of the largest centered part of an image that has the proportions asked for."""
    if image.width * height > image.height * width:
        cut = (image.width - image.height * width / height) / 2
        return cut, 0, image.width - cut, image.height
    cut = (image.height - image.width * height / width) / 2
    return 0, cut, image.width, image.height - cut


def cover_in_two_steps(image, height, width):
    """What `cover` does, by Pillow: first along the axis that is cropped, then along the other."""
    left, top, right, bottom = crop_box(image, height, width)
    bicubic = Image.Resampling.BICUBIC
    if image.height * width > image.width * height:
        rows = image.resize((image.width, height), bicubic, box=(0, top, image.width, bottom))
        return np.asarray(rows.resize((width, height), bicubic, box=(left, 0, right, height)))
    columns = image.resize((width, image.height), bicubic, box=(left, 0, right, image.height))
    return np.asarray(columns.resize((width, height), bicubic, box=(0, top, width, bottom)))


def difference(first, second):
    return np.abs(first.astype(int) - second.astype(int))


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_pixels_are_pillows(resizer, size):
    for name, image in pictures():
        off = difference(cover(image, *size), cover_in_two_steps(image, *size))
        assert (off > 2).mean() < 0.001, name
        if resizer == "cykooz":
            assert off.max() <= 2, name


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_pillow_is_its_own_resize_bit_for_bit(size):
    use_resizer("pillow")
    try:
        for name, image in pictures():
            expected = image.resize(size[::-1], Image.Resampling.BICUBIC, box=crop_box(image, *size))
            np.testing.assert_array_equal(cover(image, *size), expected, err_msg=name)
    finally:
        use_resizer(FASTEST)


@pytest.mark.parametrize(
    "network, layer",
    [("lite0", "head_relu"), pytest.param("mobilenet", "out_relu", marks=pytest.mark.keras_home)],
)
def test_vectors_are_those_of_pillow(request, network, layer):
    import keras

    backbone = request.getfixturevalue(network)
    model = keras.Model(backbone.model.inputs[0], backbone.model.get_layer(layer).output)
    photos = [*load_samples("photos"), *load_samples("views")[::7]]
    vectors = {}
    try:
        for name in AVAILABLE:
            use_resizer(name)
            vectors[name] = model.predict(backbone.prepare(photos), verbose=0).mean(axis=(1, 2))
    finally:
        use_resizer(FASTEST)
    first, second = vectors[FASTEST], vectors["pillow"]
    cosines = (first * second).sum(1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
    assert cosines.min() >= 0.9995
    assert np.median(cosines) >= 0.9998


@pytest.mark.parametrize("size", [(1, 1), (3, 7), (224, 224), (7, 300), (300, 7)], ids=str)
@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 500), (500, 1), (2, 3), (3, 700), (700, 3), (150, 97), (100, 5), (50, 6)]
)
def test_any_size_to_any_size(resizer, shape, size):
    image = Image.new("RGB", shape[::-1], (10, 200, 30))
    found = cover(image, *size)
    assert found.shape == (*size, 3)
    assert found.dtype == np.uint8
    assert (found == [10, 200, 30]).all()


def test_every_enlargement_is_safe():
    """A single call of cykooz 4.0.1 ended the process at such sizes, so this runs in another one."""
    program = (
        "from PIL import Image\n"
        "from featlib.images import cover\n"
        "for width in range(1, 120):\n"
        "    for height in (1, 2, 3, 25, 50, 75, 100, 150):\n"
        "        for size in (300, 7), (7, 300), (96, 96):\n"
        "            assert cover(Image.new('RGB', (width, height), 'white'), *size).min() == 255\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_enlarging_a_photograph(resizer):
    image = Image.fromarray(load_samples("photos")[0].pixels).resize((60, 40), Image.Resampling.LANCZOS)
    off = difference(cover(image, 224, 224), cover_in_two_steps(image, 224, 224))
    assert off.max() <= 2


def test_the_center_is_kept_and_the_aspect_ratio(resizer):
    for size in [(40, 100), (100, 40)]:
        pixels = np.zeros((*size, 3), np.uint8)
        pixels[size[0] // 2 - 20 : size[0] // 2 + 20, size[1] // 2 - 20 : size[1] // 2 + 20] = 255
        assert (cover(Image.fromarray(pixels), 20, 20)[1:-1, 1:-1] == 255).all()


def test_the_same_size_comes_out_as_it_is(resizer):
    image = Image.fromarray(load_samples("photos")[0].pixels)
    np.testing.assert_array_equal(cover(image, image.height, image.width), np.asarray(image))


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_only_rgb(resizer, mode):
    with pytest.raises(ImageError, match=rf"mode '{mode}'.*convert\('RGB'\)"):
        cover(Image.new(mode, (10, 10)), 5, 5)


def test_threads_get_the_same_pixels(resizer):
    images = [image for _, image in pictures()]
    alone = [cover(image, 224, 224) for image in images]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            for one, other in zip(alone, pool.map(lambda image: cover(image, 224, 224), images), strict=True):
                np.testing.assert_array_equal(one, other)


def test_an_image_of_several_memory_blocks(resizer):
    image = Image.fromarray(load_samples("photos")[0].pixels).resize((4000, 3000))  # 48 MB in Pillow, 16 MB a block
    off = difference(cover(image, 224, 224), cover_in_two_steps(image, 224, 224))
    assert (off > 1).mean() < 0.001


def test_every_way_to_a_network_is_the_same_resize(resizer, tiny):
    pixels = load_samples("photos")[3].pixels
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    expected = cover(Image.fromarray(pixels), 32, 32)
    np.testing.assert_array_equal(tiny.resize(pixels), expected)
    for source in (file.getvalue(), pixels):
        np.testing.assert_array_equal(load_images([source])[0].resized(32, 32), expected)
        np.testing.assert_array_equal(open_image(list_pending([source])[0]).resized(32, 32), expected)


def test_the_resizer_can_be_chosen(resizer):
    assert resizer_name() == resizer
    assert set(AVAILABLE) <= set(RESIZERS)
    with pytest.raises(FeatlibError, match=r"No resizer named 'lanczos': choose one of cykooz, pillow\."):
        use_resizer("lanczos")
    assert resizer_name() == resizer


def test_without_cykooz_pillow_resizes():
    program = (
        "import sys; sys.modules['cykooz_resizer'] = None\n"
        "from featlib.images import resizer_name, use_resizer\n"
        "assert resizer_name() == 'pillow'\n"
        "use_resizer('pillow')\n"
        "try: use_resizer('cykooz')\n"
        "except ValueError as error: print(error)\n"
    )
    out = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert "'cykooz' is not available on this machine: install cykooz-resizer" in out


def test_pillow_resizes_under_a_version_of_pillow_that_cykooz_may_not_know():
    program = (
        "import PIL.Image; PIL.__version__ = '99.0.0'\nfrom featlib.images import resizer_name\nprint(resizer_name())"
    )
    out = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert out.strip() == "pillow"
