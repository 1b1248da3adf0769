"""Instruction sets that matter to arithmetic, and Arm's numbers of its cores."""

from collections.abc import Iterable

X86 = (
    *("sse4_2", "avx", "f16c", "fma", "avx2"),
    *("avx_vnni", "avx_vnni_int8", "avx_ifma", "avx_ne_convert"),
    *("avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl", "avx512ifma", "avx512vbmi"),
    *("avx512_vbmi2", "avx512_vnni", "avx512_bitalg", "avx512_vpopcntdq"),
    *("avx512_bf16", "avx512_fp16", "avx10"),
    *("amx_tile", "amx_int8", "amx_bf16", "amx_fp16", "amx_complex"),
)
"""As Linux names them."""
ARM = {
    "neon": "neon",
    "asimd": "neon",
    "asimdhp": "fp16",
    "asimddp": "dotprod",
    "i8mm": "i8mm",
    "bf16": "bf16",
    "sve": "sve",
    "sve2": "sve2",
    "svei8mm": "sve_i8mm",
    "svebf16": "sve_bf16",
    "sme": "sme",
    "sme2": "sme2",
}
"""Linux's names of Arm's, and ours."""
APPLE = {
    "FEAT_FP16": "fp16",
    "FEAT_DotProd": "dotprod",
    "FEAT_I8MM": "i8mm",
    "FEAT_BF16": "bf16",
    "FEAT_SME": "sme",
    "FEAT_SME2": "sme2",
}
"""Of `hw.optional.arm`."""
WINDOWS = {
    19: "neon",
    38: "sse4_2",
    39: "avx",
    40: "avx2",
    41: "avx512f",
    43: "dotprod",
    46: "sve",
    47: "sve2",
    66: "i8mm",
    68: "bf16",
}
"""Numbers that `IsProcessorFeaturePresent` takes."""
INTEL_MACS = {"sse4.2": "sse4_2", "avx1.0": "avx"}

IMPLEMENTERS = {
    0x41: "arm",
    0x42: "broadcom",
    0x46: "fujitsu",
    0x48: "hisilicon",
    0x4E: "nvidia",
    0x51: "qualcomm",
    0x61: "apple",
    0x6D: "microsoft",
    0xC0: "ampere",
}
CORES = {
    (0x41, 0xD03): "Cortex-A53",
    (0x41, 0xD05): "Cortex-A55",
    (0x41, 0xD07): "Cortex-A57",
    (0x41, 0xD08): "Cortex-A72",
    (0x41, 0xD0B): "Cortex-A76",
    (0x41, 0xD0C): "Neoverse N1",
    (0x41, 0xD40): "Neoverse V1",
    (0x41, 0xD41): "Cortex-A78",
    (0x41, 0xD42): "Cortex-A78AE",
    (0x41, 0xD44): "Cortex-X1",
    (0x41, 0xD46): "Cortex-A510",
    (0x41, 0xD47): "Cortex-A710",
    (0x41, 0xD48): "Cortex-X2",
    (0x41, 0xD49): "Neoverse N2",
    (0x41, 0xD4F): "Neoverse V2",
    (0x41, 0xD84): "Neoverse V3",
    (0x41, 0xD8E): "Neoverse N3",
    (0x46, 0x001): "A64FX",
    (0x48, 0xD01): "Kunpeng 920",
    (0x51, 0x001): "Oryon",
    (0xC0, 0xAC3): "Ampere-1",
    (0xC0, 0xAC4): "Ampere-1A",
}


def of_x86(flags: Iterable[str]) -> list[str]:
    """Those among Linux's flags of an x86 processor, from old to new."""
    there = set(flags)
    return [name for name in X86 if name in there]


def of_arm(features: Iterable[str]) -> list[str]:
    """Those among Linux's features of an Arm processor."""
    return list(dict.fromkeys(ARM[name] for name in features if name in ARM))
