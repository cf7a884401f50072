"""Facts about the networks of Keras that are known only once a network is built, measured once.

`tests/models/applications/test_catalog.py` compares every entry with what the installed Keras builds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MEASURED_WITH = "3.15.1"  # the version of Keras
SimplePreprocessing = Literal["none", "unit", "tf", "torch", "caffe", "lite0"]


@dataclass(frozen=True)
class Facts:
    """One network of keras.applications.

    Attributes:
        module: Name of its module in keras.applications, which has its `preprocess_input`.
        file: What the names of its weights files begin with, see `Family.files`.
        input_size: Default height and width in pixels.
        params: Number of weights, with the top.
        feature_layer: The last layer whose output has more than one position.
    """

    module: str
    file: str
    input_size: int
    params: int
    feature_layer: str


@dataclass(frozen=True)
class Family:
    """One module of keras.applications.

    Attributes:
        module: Its name.
        title: A name for people; some modules share one.
        preprocessing: What its `preprocess_input` does.
        description: One sentence for newcomers.
        files: Names of the ImageNet weights files with and without top, where {} is `Facts.file`.
        options: The keyword options that only this family has, with their defaults.
        file_sizes: The input sizes that have their own weights files, if not only the default has one.
    """

    module: str
    title: str
    preprocessing: SimplePreprocessing
    description: str
    files: tuple[str, ...] = (
        "{}_weights_tf_dim_ordering_tf_kernels.h5",
        "{}_weights_tf_dim_ordering_tf_kernels_notop.h5",
    )
    options: tuple[tuple[str, bool | int | float], ...] = ()
    file_sizes: tuple[int, ...] = ()


SHORT = ("{}.h5", "{}_notop.h5")
UNDERSCORED = ("{}.h5", "{}_no_top.h5")
MOBILENET_V2 = tuple(f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{name}" for name in UNDERSCORED)

FAMILIES = (
    Family("mobilenet", "MobileNet", "tf",
           "2017, made for phones: splits each convolution into one per channel and a 1 × 1 that mixes the channels.",
           UNDERSCORED, (("alpha", 1.0), ("depth_multiplier", 1), ("dropout", 0.001)), (128, 160, 192, 224)),
    Family("mobilenet_v2", "MobileNet", "tf",
           "2018, made for phones: small and fast, blocks that widen, filter and narrow again.",
           MOBILENET_V2, (("alpha", 1.0),), (96, 128, 160, 192, 224)),
    Family("mobilenet_v3", "MobileNet", "none",
           "2019, made for phones: blocks partly found by automatic search, with attention to channels.",
           ("{}.h5", "{}_no_top_v2.h5"), (("alpha", 1.0), ("minimalistic", False), ("dropout_rate", 0.2))),
    Family("efficientnet", "EfficientNet", "none",
           "2019: one design from B0 to B7 that grows in depth, width and image size together.", SHORT),
    Family("efficientnet_v2", "EfficientNetV2", "none",
           "2021: EfficientNet made faster to train, with plain convolutions in its early blocks.", SHORT),
    Family("resnet", "ResNet", "caffe",
           "2015, the classic: each block adds its result to its input, so depth can grow."),
    Family("resnet_v2", "ResNetV2", "tf", "2016: ResNet with normalization and ReLU before each convolution."),
    Family("densenet", "DenseNet", "torch", "2016: within a block each layer sees the maps of all layers before it."),
    Family("vgg16", "VGG", "caffe", "2014: 16 layers of plain 3 × 3 convolutions, easy to follow but large and slow."),
    Family("vgg19", "VGG", "caffe", "2014: 19 layers of plain 3 × 3 convolutions, easy to follow but large and slow."),
    Family("inception_v3", "Inception", "tf", "2015: each block applies filters of several sizes side by side."),
    Family("inception_resnet_v2", "Inception", "tf", "2016: Inception's parallel filters with ResNet's shortcuts."),
    Family("xception", "Xception", "tf", "2016: Inception's idea taken to the extreme, one filter per channel."),
    Family("nasnet", "NASNet", "tf", "2017: its cells were found by automatic search, hence many branches.",
           UNDERSCORED),
    Family("convnext", "ConvNeXt", "none", "2022: a ResNet brought up to date with ideas from transformers.", SHORT),
)  # fmt: skip

KERAS_FACTS = {
    "MobileNet": Facts("mobilenet", "mobilenet_1_0_224_tf", 224, 4_253_864, "conv_pw_13_relu"),
    "MobileNetV2": Facts("mobilenet_v2", "1.0_224", 224, 3_538_984, "out_relu"),
    "MobileNetV3Small": Facts(
        "mobilenet_v3", "weights_mobilenet_v3_small_224_1.0_float", 224, 2_554_968, "activation_17"
    ),
    "MobileNetV3Large": Facts(
        "mobilenet_v3", "weights_mobilenet_v3_large_224_1.0_float", 224, 5_507_432, "activation_19"
    ),
    "EfficientNetB0": Facts("efficientnet", "efficientnetb0", 224, 5_330_571, "top_activation"),
    "EfficientNetB1": Facts("efficientnet", "efficientnetb1", 240, 7_856_239, "top_activation"),
    "EfficientNetB2": Facts("efficientnet", "efficientnetb2", 260, 9_177_569, "top_activation"),
    "EfficientNetB3": Facts("efficientnet", "efficientnetb3", 300, 12_320_535, "top_activation"),
    "EfficientNetB4": Facts("efficientnet", "efficientnetb4", 380, 19_466_823, "top_activation"),
    "EfficientNetB5": Facts("efficientnet", "efficientnetb5", 456, 30_562_527, "top_activation"),
    "EfficientNetB6": Facts("efficientnet", "efficientnetb6", 528, 43_265_143, "top_activation"),
    "EfficientNetB7": Facts("efficientnet", "efficientnetb7", 600, 66_658_687, "top_activation"),
    "EfficientNetV2B0": Facts("efficientnet_v2", "efficientnetv2-b0", 224, 7_200_312, "top_activation"),
    "EfficientNetV2B1": Facts("efficientnet_v2", "efficientnetv2-b1", 240, 8_212_124, "top_activation"),
    "EfficientNetV2B2": Facts("efficientnet_v2", "efficientnetv2-b2", 260, 10_178_374, "top_activation"),
    "EfficientNetV2B3": Facts("efficientnet_v2", "efficientnetv2-b3", 300, 14_467_622, "top_activation"),
    "EfficientNetV2S": Facts("efficientnet_v2", "efficientnetv2-s", 384, 21_612_360, "top_activation"),
    "EfficientNetV2M": Facts("efficientnet_v2", "efficientnetv2-m", 480, 54_431_388, "top_activation"),
    "EfficientNetV2L": Facts("efficientnet_v2", "efficientnetv2-l", 480, 119_027_848, "top_activation"),
    "ResNet50": Facts("resnet", "resnet50", 224, 25_636_712, "conv5_block3_out"),
    "ResNet101": Facts("resnet", "resnet101", 224, 44_707_176, "conv5_block3_out"),
    "ResNet152": Facts("resnet", "resnet152", 224, 60_419_944, "conv5_block3_out"),
    "ResNet50V2": Facts("resnet_v2", "resnet50v2", 224, 25_613_800, "post_relu"),
    "ResNet101V2": Facts("resnet_v2", "resnet101v2", 224, 44_675_560, "post_relu"),
    "ResNet152V2": Facts("resnet_v2", "resnet152v2", 224, 60_380_648, "post_relu"),
    "DenseNet121": Facts("densenet", "densenet121", 224, 8_062_504, "relu"),
    "DenseNet169": Facts("densenet", "densenet169", 224, 14_307_880, "relu"),
    "DenseNet201": Facts("densenet", "densenet201", 224, 20_242_984, "relu"),
    "VGG16": Facts("vgg16", "vgg16", 224, 138_357_544, "block5_pool"),
    "VGG19": Facts("vgg19", "vgg19", 224, 143_667_240, "block5_pool"),
    "InceptionV3": Facts("inception_v3", "inception_v3", 299, 23_851_784, "mixed10"),
    "InceptionResNetV2": Facts("inception_resnet_v2", "inception_resnet_v2", 299, 55_873_736, "conv_7b_ac"),
    "Xception": Facts("xception", "xception", 299, 22_910_480, "block14_sepconv2_act"),
    "NASNetMobile": Facts("nasnet", "nasnet_mobile", 224, 5_326_716, "activation_187"),
    "NASNetLarge": Facts("nasnet", "nasnet_large", 331, 88_949_818, "activation_259"),
    "ConvNeXtTiny": Facts("convnext", "convnext_tiny", 224, 28_589_128, "add_17"),
    "ConvNeXtSmall": Facts("convnext", "convnext_small", 224, 50_223_688, "add_35"),
    "ConvNeXtBase": Facts("convnext", "convnext_base", 224, 88_591_464, "add_35"),
    "ConvNeXtLarge": Facts("convnext", "convnext_large", 224, 197_767_336, "add_35"),
    "ConvNeXtXLarge": Facts("convnext", "convnext_xlarge", 224, 350_196_968, "add_35"),
}
