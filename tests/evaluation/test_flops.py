"""Floating-point operations are counted as the layers have them."""

import pytest
import torch

from emgpose.evaluation.flops import flops_per_window
from emgpose.models.conv_block import ConvBlock
from small_models import small_model


@pytest.mark.parametrize("name", ["tracking_vemg2pose", "tracking_emg2pose", "regression_emg2pose"])
def test_flops_are_those_of_the_layers(name):
    """Convolutions and linear layers by their shapes; a decoder's weights once per step at 50 Hz over 5 s."""
    model = small_model(name)
    expected = 0

    def count(layer, _, output):
        nonlocal expected
        if isinstance(layer, ConvBlock):
            expected += 2 * layer.conv.weight[0].numel() * output[0].numel()
        elif isinstance(layer, torch.nn.Conv2d):
            expected += 2 * layer.weight[0].numel() * output.numel()
        elif isinstance(layer, torch.nn.Linear):
            expected += 2 * layer.in_features * output.numel()

    for layer in model.featurizer.modules():
        layer.register_forward_hook(count)
    found = flops_per_window(model, "published")
    decoder = sum(parameter.numel() for parameter in model.decoder.parameters() if parameter.ndim == 2)
    assert found == pytest.approx(expected + 2 * 250 * decoder, rel=0.01)


def test_one_products_library_counts_as_the_other():
    model = small_model("tracking_emg2pose")
    with torch.backends.mkldnn.flags(enabled=False, allow_tf32=None):
        plain = flops_per_window(model, "published")
    assert flops_per_window(model, "published") == plain
