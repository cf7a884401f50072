import keras
import numpy as np
import pytest

from featlib.errors import LayerNotFoundError
from featlib.models import find_layer, list_layers, load_backbone


def test_is_the_summary_as_data(lite0):
    layers = list_layers(lite0)
    model = lite0.model
    assert [layer.path for layer in layers] == [layer.name for layer in model.layers]
    assert sum(layer.params for layer in layers) == model.count_params()
    for layer in layers:
        own = model.get_layer(layer.path)
        assert layer.output_shape == tuple(own.output.shape[1:])
        assert layer.class_name == type(own).__name__


def test_describes_the_layers_people_ask_for(lite0):
    add = find_layer(lite0, "block4_add")
    assert (add.class_name, add.output_shape, add.kind) == ("Add", (28, 28, 40), "maps")
    assert add.bytes_per_image == 28 * 28 * 40 * 4
    assert find_layer(lite0, "avg_pool").kind == "vector"
    assert find_layer(lite0, "predictions").kind == "probabilities"
    assert lite0.feature_layer == "head_relu"


def test_stage_ends_close_each_resolution(lite0):
    ends = [(layer.path, layer.output_shape) for layer in list_layers(lite0) if layer.stage_end]
    assert ends == [
        ("block0_project_bn", (112, 112, 16)),
        ("block2_add", (56, 56, 24)),
        ("block4_add", (28, 28, 40)),
        ("block10_add", (14, 14, 112)),
        ("block15_project_bn", (7, 7, 320)),
        ("head_relu", (7, 7, 1280)),
    ]


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        (
            "MobileNetV2",
            [
                "expanded_conv_project_BN",
                "block_2_add",
                "block_5_add",
                "block_12_add",
                "block_16_project_BN",
                "out_relu",
            ],
        ),
        ("ResNet50", ["conv1_relu", "conv2_block3_out", "conv3_block4_out", "conv4_block6_out", "conv5_block3_out"]),
        ("VGG16", [*(f"block{i}_conv{2 + (i > 2)}" for i in range(1, 6)), "block5_pool"]),
        ("ConvNeXtTiny", ["add_2", "add_5", "add_14", "layer_normalization"]),
    ],
)
def test_stage_ends_of_well_known_networks(name, ends):
    """The layers that papers call C2 to C5, whatever paddings and ways around lie between."""
    backbone = load_backbone(name, weights=None, include_top=False)
    assert [layer.path for layer in list_layers(backbone) if layer.stage_end] == ends
    assert backbone.feature_layer == ends[-1]


@pytest.mark.slow
def test_stage_ends_where_every_block_has_ways_around_it():
    backbone = load_backbone("NASNetMobile", weights=None, include_top=False)
    ends = [layer for layer in list_layers(backbone) if layer.stage_end]
    assert [end.path for end in ends][1:-1] == ["normal_concat_3", "normal_concat_8", "normal_concat_12"]
    assert [end.output_shape[0] for end in ends] == [56, 28, 14, 7, 7]


def test_order_is_the_graphs_order(lite0):
    """Every layer stands after all layers it reads."""
    position = {layer.path: layer.index for layer in list_layers(lite0)}
    for layer in lite0.model.layers:
        for node in layer._inbound_nodes:
            for parent in node.parent_nodes:
                assert position[parent.operation.name] < position[layer.name]


def test_lists_ops_that_are_no_layers(tiny):
    classes = [layer.class_name for layer in list_layers(tiny)]
    assert "ReLU" in classes or "Relu" in classes
    assert len(classes) == len(tiny.model.operations)


def test_unknown_name_gives_the_close_ones(lite0):
    with pytest.raises(
        LayerNotFoundError, match=r"'block6_ad' in 'EfficientNetLite0' \(149 layers\)|Did you mean"
    ) as e:
        find_layer(lite0, "block6_ad")
    assert "'block6_add'" in str(e.value)


def test_top_and_no_top_differ_by_the_last_three_layers(lite0):
    without = load_backbone("EfficientNetLite0", include_top=False)
    names = [layer.path for layer in list_layers(lite0)]
    assert names[-3:] == ["avg_pool", "top_dropout", "predictions"]
    assert [layer.path for layer in list_layers(without)] == names[:-3]


@pytest.mark.parametrize("build", ["functional", "sequential"])
def test_any_live_model(build):
    layers = [
        keras.layers.Conv2D(4, 3, name="a"),
        keras.layers.Flatten(name="b"),
        keras.layers.Dense(2, name="c"),
    ]
    model = keras.Sequential([keras.Input((16, 16, 3)), *layers])
    if build == "functional":
        model = keras.Model(model.inputs, model.outputs)
    found = [(layer.path, layer.kind) for layer in list_layers(load_backbone(model, preprocessing="none"))]
    assert found[-3:] == [("a", "maps"), ("b", "vector"), ("c", "vector")]


def test_variable_input_size():
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(4, 3, padding="same", name="conv")(inputs))
    backbone = load_backbone(model, input_shape=(48, 64, 3), preprocessing="none")
    assert find_layer(backbone, "conv").output_shape == (48, 64, 4)
    assert find_layer(backbone, "conv").bytes_per_image == 48 * 64 * 4 * 4
    assert backbone.prepare(np.zeros((1, 10, 10, 3), np.uint8)).shape == (1, 48, 64, 3)
