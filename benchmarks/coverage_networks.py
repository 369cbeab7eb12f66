"""The networks of benchmarks/coverage.py: torchvision's builders, and one of each family of timm's."""

from __future__ import annotations

from typing import Any

from moco.models.timm_zoo import PREFIX
from moco.models.torchvision_zoo import torchvision_names

SIDE = 64

TORCHVISION: dict[str, tuple[int, dict[str, Any]]] = {
    "googlenet": (64, {"init_weights": False}),
    "inception_v3": (96, {"init_weights": False}),
    "maxvit_t": (224, {}),
    "vit_b_16": (64, {"image_size": 64}),
    "vit_b_32": (64, {"image_size": 64}),
}
"""Side of the image and options of torchvision's builders that do not take 64 x 64 as they are."""

BIG = {
    "convnext_large": "convnext_base",
    "regnet_y_128gf": "regnet_y_32gf",
    "vit_h_14": "vit_b_16",
    "vit_l_16": "vit_b_16",
    "vit_l_32": "vit_b_32",
}
"""Builders of more than 150 M parameters, and the smaller member of their family that is run for them."""

AT_64 = {"img_size": 64}
TIMM: dict[str, tuple[int, dict[str, Any]]] = {
    # Of depthwise convolutions
    "lcnet_050": (64, {}),
    "mobilenetv1_100": (64, {}),
    "mobilenetv2_050": (64, {}),
    "mobilenetv3_small_050": (64, {}),
    "mobilenetv4_conv_small_035": (64, {}),
    "efficientnet_b0": (64, {}),
    "mixnet_s": (64, {}),
    "fbnetc_100": (64, {}),
    "hardcorenas_a": (64, {}),
    "tinynet_e": (64, {}),
    "rexnet_100": (64, {}),
    "ghostnet_050": (64, {}),
    "ghostnetv2_100": (64, {}),
    "ghostnetv3_050": (64, {}),
    "repghostnet_050": (64, {}),
    "fasternet_t0": (64, {}),
    "starnet_s050": (64, {}),
    # Of ordinary and grouped convolutions
    "resnet10t": (64, {}),
    "resnetblur18": (64, {}),
    "resnet51q": (64, {}),
    "ecaresnet26t": (64, {}),
    "skresnet18": (64, {}),
    "resnest14d": (64, {}),
    "res2net50_48w_2s": (64, {}),
    "resnetv2_18": (64, {}),
    "regnetx_002": (64, {}),
    "regnety_002": (64, {}),
    "regnetz_005": (64, {}),
    "nf_regnet_b0": (64, {}),
    "nfnet_l0": (64, {}),
    "gernet_s": (64, {}),
    "dpn48b": (64, {}),
    "dla46_c": (64, {}),
    "densenet121": (64, {}),
    "darknet17": (64, {}),
    "cspresnet50": (64, {}),
    "cs3darknet_focus_s": (64, {}),
    "ese_vovnet19b_slim_dw": (64, {}),
    "hrnet_w18_small": (64, {}),
    "hgnetv2_b0": (64, {}),
    "selecsls42": (64, {}),
    "tresnet_m": (64, {}),
    "inception_v4": (96, {}),
    "xception41": (64, {}),
    "pnasnet5large": (96, {}),
    "repvgg_a0": (64, {}),
    "mobileone_s0": (64, {}),
    "repvit_m0_9": (64, {}),
    "rdnet_tiny": (64, {}),
    "convnext_atto": (64, {}),
    "convnextv2_atto": (64, {}),
    "inception_next_atto": (64, {}),
    "mambaout_femto": (64, {}),
    "convmixer_768_32": (64, {}),
    "csatv2": (64, {}),
    # Of convolutions and attention
    "lambda_resnet26t": (64, {}),
    "halonet26t": (256, {}),
    "botnet26t_256": (64, AT_64),
    "fastvit_t8": (64, {}),
    "mobilevit_xxs": (64, {}),
    "mobilevitv2_050": (64, {}),
    "edgenext_xx_small": (64, {}),
    "efficientformer_l1": (224, {}),
    "efficientformerv2_s0": (64, AT_64),
    "efficientvit_b0": (64, {}),
    "efficientvit_m0": (64, AT_64),
    "swiftformer_xs": (64, {}),
    "shvit_s1": (64, {}),
    "coatnet_pico_rw_224": (64, AT_64),
    "maxvit_rmlp_pico_rw_256": (64, AT_64),
    "poolformer_s12": (64, {}),
    "caformer_s18": (64, {}),
    "nextvit_small": (64, {"depths": (3, 4, 5, 3)}),
    "levit_128s": (224, {}),
    "visformer_tiny": (64, AT_64),
    "tiny_vit_5m_224": (64, {"num_classes": 1000}),
    "gcvit_xxtiny": (64, AT_64),
    "focalnet_tiny_srf": (64, {}),
    "davit_tiny": (64, {}),
    # Transformers and perceptrons
    "vit_tiny_patch16_224": (64, AT_64),
    "deit3_small_patch16_224": (64, {**AT_64, "depth": 4}),
    "vit_relpos_small_patch16_224": (64, {**AT_64, "depth": 4}),
    "cait_xxs24_224": (64, {**AT_64, "depth": 6}),
    "xcit_nano_12_p16_224": (64, {**AT_64, "depth": 4}),
    "beit_base_patch16_224": (64, {**AT_64, "depth": 4}),
    "eva02_tiny_patch14_224": (56, {"img_size": 56, "num_classes": 1000}),
    "swin_tiny_patch4_window7_224": (64, {**AT_64, "window_size": 4, "depths": (2, 2, 2, 2)}),
    "swinv2_tiny_window8_256": (64, {**AT_64, "window_size": 4, "depths": (2, 2, 2, 2)}),
    "pvt_v2_b0": (64, {}),
    "twins_svt_small": (64, {**AT_64, "depths": (2, 2, 2, 2)}),
    "coat_lite_tiny": (64, AT_64),
    "crossvit_tiny_240": (240, {}),
    "convit_tiny": (64, {**AT_64, "depth": 6, "local_up_to_layer": 4}),
    "tnt_s_patch16_224": (64, {**AT_64, "depth": 4}),
    "mvitv2_tiny": (64, AT_64),
    "nest_tiny": (64, AT_64),
    "hiera_tiny_224": (64, AT_64),
    "volo_d1_224": (64, AT_64),
    "pit_ti_224": (64, AT_64),
    "mixer_s32_224": (64, AT_64),
    "resmlp_12_224": (64, AT_64),
    "gmlp_ti16_224": (64, AT_64),
    "sequencer2d_s": (64, AT_64),
}
"""Side of the image and options of one network of each family, its smallest or near it.

Where a stage repeats one block many times, `depth` or `depths` cuts the repetitions.
"""


def networks() -> dict[str, list[str]]:
    """The names of the networks by library, each as `build_model` takes it."""
    return {"torchvision": torchvision_names(), "timm": [PREFIX + name for name in TIMM]}


def input_of(name: str) -> tuple[int, dict[str, Any]]:
    """Side of the image that the network is run on, and the options that it is built with."""
    if name.startswith(PREFIX):
        return TIMM[name.removeprefix(PREFIX)]
    return TORCHVISION.get(name, (SIDE, {}))
