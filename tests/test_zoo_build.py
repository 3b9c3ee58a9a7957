"""What ships is what was published: every variant has the published counts to the last parameter, and builds with its proof."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import convc
from convc import zoo
from convc.api.verify import random_feeds, run_both
from convc.runtime.parity import allowed, compare
from convc.runtime.session import Session

# Learnable values of the train form (auxiliary heads included), and 10^6 multiply-accumulates of the inference path as printed in
# the literature or measured on torchvision's and timm's own models; at 224, LeNet 28, AlexNet's paper 227, NIN 32.
PUBLISHED = {
    "flattened_cnn": (9_086_442, "32.73"),
    "p4cnn": (24_620, "11.67"),
    "wavenet": (1_484_800, "332.6"),
    "wavenet_medium": (1_269_760, "284.4"),
    "wavenet_tokens": (1_484_800, "328.9"),
    "alexnet": (61_100_840, "714.2"),
    "alexnet_paper": (60_965_224, "724.4"),
    "googlenet": (13_004_888, "1498.4"),
    "googlenet_paper": (13_378_280, "1582.7"),
    "lenet5": (61_706, "0.417"),
    "lenet5_modern": (61_706, "0.417"),
    "mobilenet_v2": (3_504_872, "300.8"),
    "mobilenetv1_025": (470_072, "41.0"),
    "mobilenetv1_050": (1_331_592, "149.5"),
    "mobilenetv1_075": (2_585_560, "325.4"),
    "mobilenetv1_100": (4_231_976, "568.7"),
    "mobilenetv2_035": (1_677_128, "59.3"),
    "mobilenetv2_050": (1_968_680, "97.1"),
    "mobilenetv2_075": (2_636_424, "209.1"),
    "mobilenetv2_130": (5_386_792, "509.4"),
    "mobilenetv2_140": (6_108_776, "582.2"),
    "nin_cifar10": (966_986, "222.5"),
    "repvgg_a0": (9_108_968, "1513"),
    "repvgg_a1": (14_092_264, "2626"),
    "repvgg_a2": (28_210_600, "5685"),
    "repvgg_b0": (15_817_960, "3397"),
    "repvgg_b1": (57_415_016, "13128"),
    "repvgg_b1g2": (45_782_376, "9788"),
    "repvgg_b1g4": (39_966_056, "8119"),
    "repvgg_b2": (89_022_376, "20418"),
    "repvgg_b2g4": (61_758_376, "12591"),
    "repvgg_b3": (123_085_288, "29121"),
    "repvgg_b3g4": (83_825_128, "17849"),
    "resnet18": (11_689_512, "1814"),
    "resnet34": (21_797_672, "3664"),
    "resnet50": (25_557_032, "4089"),
    "resnet50_v1": (25_557_032, "3858"),
    "resnet101": (44_549_160, "7801"),
    "resnet152": (60_192_808, "11514"),
    "resnext50_32x4d": (25_028_904, "4230"),
    "resnext101_32x8d": (88_791_336, "16414"),
    "shufflenet_v2_x0_5": (1_366_792, "40.5"),
    "shufflenet_v2_x1_0": (2_278_604, "144.9"),
    "shufflenet_v2_x1_5": (3_503_624, "295.8"),
    "shufflenet_v2_x2_0": (7_393_996, "583.3"),
    "vgg11": (132_863_336, "7609"),
    "vgg11_bn": (132_868_840, "7609"),
    "vgg13": (133_047_848, "11308"),
    "vgg13_bn": (133_053_736, "11308"),
    "vgg16": (138_357_544, "15470"),
    "vgg16_bn": (138_365_992, "15470"),
    "vgg19": (143_667_240, "19632"),
    "vgg19_bn": (143_678_248, "19632"),
    "inception_v3": (27_161_264, "5713"),
    "bn_inception": (11_285_224, "2033"),
    "legacy_xception": (22_855_952, "8357"),
    "convnext_tiny": (28_589_128, "4456"),
    "convnext_small": (50_223_688, "8684"),
    "convnext_base": (88_591_464, "15355"),
    "convnext_large": (197_767_336, "34361"),
    "convnext_xlarge": (350_196_968, "60921"),
    "ghostnet_050": (2_587_292, "42.3"),
    "ghostnet_075": (3_730_906, "86.2"),
    "ghostnet_100": (5_182_508, "141.2"),
    "ghostnet_130": (7_358_820, "227.0"),
    "nin_imagenet": (7_595_176, "1106"),
    "mobileone_s0": (5_293_272, "1052"),
    "xception41": (26_969_560, "9204"),
    "ecaresnet50d": (25_576_350, "4329"),
    "resnext101_32x4d": (44_177_704, "7970"),
    "resnext101_64x4d": (83_455_272, "15460"),
    "seresnet50": (28_088_024, "4092"),
    "seresnet101": (49_326_872, "7806"),
    "seresnet152": (66_821_848, "11520"),
    "seresnext50_32x4d": (27_559_896, "4233"),
    "legacy_seresnet18": (11_778_592, "1814"),
    "legacy_seresnet50": (28_088_024, "3860"),
    "senet154": (115_088_984, "20688"),
    "cbam_resnet50": (28_089_624, "4096"),
    "cbam_resnet18": (11_779_392, "1815"),
    "ecaresnet50": (25_557_118, "4089"),
    "coordatt_resnet50": (27_474_864, "4116"),
    "coordatt_mobilenet_v2": (3_951_504, "307"),
    "shufflenet_v1_g1_x0_25": (210_232, "17.5"),
    "shufflenet_v1_g1_x0_5": (534_808, "43.1"),
    "shufflenet_v1_g1_x1_0": (1_531_936, "143.1"),
    "shufflenet_v1_g1_x1_5": (2_993_032, "308.1"),
    "shufflenet_v1_g1_x2_0": (4_918_096, "538.1"),
    "shufflenet_v1_g2_x0_25": (254_128, "17.1"),
    "shufflenet_v1_g2_x0_5": (679_000, "45.8"),
    "shufflenet_v1_g2_x1_0": (1_733_848, "140.8"),
    "shufflenet_v1_g2_x1_5": (3_342_000, "309.0"),
    "shufflenet_v1_g2_x2_0": (5_256_048, "524.4"),
    "shufflenet_v1_g3_x0_25": (306_568, "17.9"),
    "shufflenet_v1_g3_x0_5": (718_888, "42.7"),
    "shufflenet_v1_g3_x1_0": (1_865_728, "137.5"),
    "shufflenet_v1_g3_x1_5": (3_442_168, "292.4"),
    "shufflenet_v1_g3_x2_0": (5_448_208, "507.6"),
    "shufflenet_v1_g4_x0_25": (315_472, "17.0"),
    "shufflenet_v1_g4_x0_5": (836_632, "46.0"),
    "shufflenet_v1_g4_x1_0": (1_968_344, "134.3"),
    "shufflenet_v1_g4_x1_5": (3_679_712, "295.1"),
    "shufflenet_v1_g4_x2_0": (5_590_432, "492.6"),
    "shufflenet_v1_g8_x0_25": (455_272, "19.0"),
    "shufflenet_v1_g8_x0_5": (1_012_000, "44.3"),
    "shufflenet_v1_g8_x1_0": (2_434_768, "138.4"),
    "shufflenet_v1_g8_x1_5": (4_269_952, "290.2"),
    "shufflenet_v1_g8_x2_0": (6_517_552, "499.8"),
    "densenet121": (7_978_856, "2834"),
    "densenet161": (28_681_000, "7728"),
    "densenet169": (14_149_480, "3360"),
    "densenet201": (20_013_928, "4291"),
    "densenet264": (33_337_704, "5752"),
    "efficientnet_b0": (5_288_548, "386"),
    "efficientnet_b1": (7_794_184, "687"),
    "efficientnet_b2": (9_109_994, "994"),
    "efficientnet_b3": (12_233_232, "1827"),
    "efficientnet_b4": (19_341_616, "4394"),
    "efficientnet_b5": (30_389_784, "10266"),
    "efficientnet_b6": (43_040_704, "19068"),
    "efficientnet_b7": (66_347_960, "37746"),
    "timm_efficientnet_b5": (30_389_784, "10266"),
    "timm_efficientnet_b6": (43_040_704, "19068"),
    "timm_efficientnet_b7": (66_347_960, "37746"),
    "tf_efficientnet_b0": (5_288_548, "386"),
    "tf_efficientnet_b1": (7_794_184, "687"),
    "tf_efficientnet_b2": (9_109_994, "994"),
    "tf_efficientnet_b3": (12_233_232, "1827"),
    "tf_efficientnet_b4": (19_341_616, "4394"),
    "tf_efficientnet_b5": (30_389_784, "10266"),
    "tf_efficientnet_b6": (43_040_704, "19068"),
    "tf_efficientnet_b7": (66_347_960, "37746"),
    "efficientnet_v2_s": (21_458_488, "8366"),
    "efficientnet_v2_m": (54_139_356, "24582"),
    "efficientnet_v2_l": (118_515_272, "56080"),
    "tf_efficientnetv2_b0": (7_139_704, "718"),
    "tf_efficientnetv2_b1": (8_141_052, "1197"),
    "tf_efficientnetv2_b2": (10_096_086, "1698"),
    "tf_efficientnetv2_b3": (14_358_406, "3011"),
    "tf_efficientnetv2_s": (21_458_488, "8366"),
    "tf_efficientnetv2_m": (54_139_356, "24582"),
    "tf_efficientnetv2_l": (118_515_272, "56080"),
    "efficientnetv2_b0_seed": (3_597_276, "407.6"),
    "efficientnetv2_b1_seed": (4_367_946, "534.3"),
    "efficientnetv2_b2_seed": (4_367_946, "657.0"),
    "efficientnetv2_b3_seed": (8_710_572, "1935"),
    "mobilenet_v3_large": (5_483_032, "216.6"),
    "mobilenet_v3_small": (2_542_856, "56.5"),
    "mobilenetv3_large_100": (5_483_032, "216.6"),
    "mobilenetv3_small_100": (2_542_856, "56.5"),
    "tf_mobilenetv3_large_100": (5_483_032, "216.6"),
    "tf_mobilenetv3_small_100": (2_542_856, "56.5"),
    "mobilenetv4_conv_small": (3_774_024, "186.0"),
    "mobilenetv4_conv_medium": (9_715_512, "1080"),
    "mobilenetv4_conv_large": (32_590_864, "6376"),
    "mobilenetv4_hybrid_medium": (11_074_648, "1229"),
    "mobilenetv4_hybrid_large": (37_764_624, "7372"),
    "context_basic": (28_392, "116"),
    "context_large": (6_803_139, "27857"),
    "dcn_resnet50": (25_805_918, "4101"),
    "dcnv2_resnet50": (26_428_295, "4278"),
    "fcn32s": (136_152_917, "181366"),
    "fcn16s": (134_815_994, "181448"),
    "fcn8s": (134_489_759, "181529"),
    "fcn_resnet50": (35_322_218, "142726"),
    "fcn_resnet101": (54_314_346, "222747"),
    "deeplabv3_resnet50": (42_004_074, "168731"),
    "deeplabv3_resnet101": (60_996_202, "248752"),
    "deeplab_largefov": (20_505_429, "50928"),
    "fpn_resnet50": (26_852_416, "6929"),
    "unet": (31_030_658, "150428"),
    "segnet_vgg16": (29_444_373, "30674"),
}
# MobileNetV1 (table 6 and 7): the same widths at the other resolutions.
MOBILENETV1 = [
    (variant, size, macs)
    for variant, row in {
        "mobilenetv1_100": ("418.1", "290.7", "186.4"),
        "mobilenetv1_075": ("239.3", "166.4", "106.8"),
        "mobilenetv1_050": ("110.0", "76.5", "49.2"),
        "mobilenetv1_025": ("30.2", "21.1", "13.6"),
    }.items()
    for size, macs in zip((192, 160, 128), row, strict=True)
]
# The other widths and settings of the papers' tables: parameters, and 10^6 multiply-accumulates at the size.
SETTINGS = [
    ("mobilenet_v3_large", {"width": 0.5}, 224, 1_734_576, "65.0"),
    ("mobilenet_v3_large", {"width": 0.75}, 224, 3_377_576, "140.0"),
    ("mobilenet_v3_large", {"width": 1.25}, 224, 8_164_744, "343.5"),
    ("mobilenet_v3_small", {"width": 0.5}, 224, 917_264, "19.0"),
    ("mobilenet_v3_small", {"width": 0.75}, 224, 1_653_920, "39.1"),
    ("mobilenet_v3_small", {"width": 1.25}, 224, 3_644_912, "88.2"),
    ("mobilenetv4_conv_small", {}, 256, 3_774_024, "242.2"),
    ("mobilenetv4_conv_medium", {}, 224, 9_715_512, "827.6"),
    ("mobilenetv4_conv_large", {}, 224, 32_590_864, "2171"),
    ("efficientnet_v2_s", {}, 300, 21_458_488, "5308"),
    ("efficientnet_v2_m", {}, 384, 54_139_356, "15737"),
    ("efficientnet_v2_l", {}, 384, 118_515_272, "35899"),
    ("dcn_resnet50", {"modulated": True}, 224, 25_930_361, "4107"),
    ("dcn_resnet50", {"deformed": [0, 4, 6, 3]}, 224, 26_137_874, "4215"),
    ("fcn_resnet50", {"aux": False}, 520, 32_957_013, "142726"),
    ("fcn_resnet101", {"aux": False}, 520, 51_949_141, "222747"),
    ("deeplabv3_resnet50", {"aux": False}, 520, 39_638_869, "168731"),
    ("deeplabv3_resnet101", {"aux": False}, 520, 58_630_997, "248752"),
    ("seresnet50", {"att_bias": False}, 224, 28_071_976, "4092"),
    ("seresnet101", {"att_bias": False}, 224, 49_292_328, "7806"),
    ("seresnet152", {"att_bias": False}, 224, 66_770_984, "11520"),
    ("cbam_resnet50", {"att_bias": False}, 224, 28_073_544, "4096"),
    ("cbam_resnet18", {"att_bias": False}, 224, 11_777_336, "1815"),
]
# The smallest at which every kernel fits; the others take 32.
SMALLEST = {
    "alexnet": 64,
    "alexnet_paper": 227,
    "googlenet_paper": 224,
    "inception_v3": 96,
    "nin_imagenet": 48,
    "p4cnn": 28,
    "unet": 188,
}
# One network of each file that takes any size.
ANY_SIZE = (
    "alexnet",
    "googlenet",
    "mobilenetv1_025",
    "mobilenetv2_035",
    "nin_cifar10",
    "repvgg_a0",
    "resnet18",
    "shufflenet_v2_x0_5",
    "vgg11",
)
FIXED_SIZE = {
    "alexnet_paper": "weights need a fixed number",
    "googlenet_paper": "weights need a fixed number",
    "flattened_cnn": "weights need a fixed number",
    "lenet5": "dynamic size H",
    "lenet5_modern": "dynamic size H",
}


def test_the_table_of_published_counts_is_the_zoo() -> None:
    assert PUBLISHED.keys() == zoo.variants().keys()


@pytest.mark.parametrize("variant", PUBLISHED)
def test_parameters_and_macs_are_the_published_ones(variant: str) -> None:
    params, macs = PUBLISHED[variant]
    costs = convc.load(variant).costs()
    assert costs.params == params
    assert _millions(costs.macs, macs) == macs


@pytest.mark.parametrize(("variant", "size", "macs"), MOBILENETV1)
def test_macs_are_the_published_ones_at_the_other_resolutions(variant: str, size: int, macs: str) -> None:
    assert _millions(convc.load(variant, size=size).costs().macs, macs) == macs


@pytest.mark.parametrize(("variant", "settings", "size", "params", "macs"), SETTINGS)
def test_other_settings_of_the_papers_have_their_counts(
    variant: str, settings: dict[str, Any], size: int, params: int, macs: str
) -> None:
    costs = convc.load(variant, size=size, **settings).costs()
    assert costs.params == params
    assert _millions(costs.macs, macs) == macs


@pytest.mark.parametrize(("variant", "hint"), FIXED_SIZE.items())
def test_a_network_of_one_size_says_where_it_needs_it(variant: str, hint: str) -> None:
    with pytest.raises(convc.SpecError, match=hint) as error:
        convc.load(variant, size="dynamic")
    assert error.value.exit_code == 2
    assert f"convc:{zoo.find(variant).name}:" in str(error.value)


@pytest.mark.parametrize("variant", ["mobilenetv1_025", "lenet5"])
def test_a_shipped_network_builds_with_its_proof(variant: str, tmp_path: Path) -> None:
    build = convc.build(variant, tmp_path / "out", size=64 if variant == "mobilenetv1_025" else None)
    assert build.verification.ok
    assert {shape[0] for case in _cases(build.manifest) for shape in case.values()} == {1, 2}
    assert build.manifest["proof"]["whole_network_error"] <= build.manifest["proof"]["allowed"]


@pytest.mark.parametrize("variant", ["mobilenetv1_025", "nin_cifar10", "shufflenet_v2_x0_5"])
def test_a_network_of_any_size_is_proven_at_several(variant: str, tmp_path: Path) -> None:
    _proven_at_several_sizes(variant, tmp_path, "direct")


@pytest.mark.zoo
@pytest.mark.parametrize("variant", PUBLISHED)
def test_every_shipped_network_is_proven_and_runs(variant: str, tmp_path: Path) -> None:
    small = SMALLEST.get(variant, 32)
    build = convc.build(variant, tmp_path / "small", size=small)
    assert build.verification.ok
    assert (build.manifest["proof"]["whole_network_error"] or 0) <= build.manifest["proof"]["allowed"]
    _runs(build.path, build, {"H": small, "W": small, "L": small})
    if variant in FIXED_SIZE:
        return
    # One file for two sizes more; the second is not square, nor even where nothing promises it.
    anywhere = convc.build(variant, tmp_path / "any", size="dynamic", verify=False)
    promised = [anywhere.network.spec.symbols.get(symbol, {}).get("multiple", 1) for symbol in ("H", "W")]
    _runs(anywhere.path, build, {"H": small, "W": small, "L": small})
    sizes = [(small + more) // multiple * multiple for more, multiple in zip((33, 69), promised, strict=True)]
    _runs(anywhere.path, anywhere, dict(zip(("H", "W", "L"), (*sizes, small + 5), strict=True)))


def _runs(path: Path, build: convc.Build, sizes: dict[str, int]) -> None:
    """At batch 1 and 3 in ONNX Runtime, as the network before any pass in PyTorch."""
    session = Session(path)
    for batch in (1, 3):
        feeds = random_feeds(build.network.graph, {**sizes, "N": batch})
        double, single = run_both(build.compiled.source, feeds)
        parity = compare(double, session.run(feeds), allowed(single, double))
        assert parity.ok, (batch, sizes, parity.differences)


@pytest.mark.zoo
@pytest.mark.parametrize(
    ("variant", "via"),
    # The sizes of these two are beyond the solver of torch.export, which says so: they take one size by that road.
    [
        (variant, via)
        for variant in ANY_SIZE
        for via in ("direct", "torch")
        if (variant, via) not in {("alexnet", "torch"), ("googlenet", "torch")}
    ],
)
def test_every_network_of_any_size_is_proven_at_several(variant: str, via: str, tmp_path: Path) -> None:
    _proven_at_several_sizes(variant, tmp_path, via)


def _proven_at_several_sizes(variant: str, tmp_path: Path, via: str) -> None:
    build = convc.build(variant, tmp_path / "out", size="dynamic", via=via)
    assert build.verification.ok
    sizes = {tuple(shape[2:]) for case in _cases(build.manifest) for shape in case.values()}
    assert len(sizes) == 2
    assert build.manifest["inputs"]["image"].startswith("[N, 3, H, W")


def _cases(manifest: Mapping[str, Any]) -> list[dict[str, list[int]]]:
    return [case["inputs"] for case in manifest["verification"]["cases"]]


def _millions(macs: int, printed: str) -> str:
    """In millions, with as many digits as were printed."""
    _, _, decimals = printed.partition(".")
    return f"{macs / 1e6:.{len(decimals)}f}"
