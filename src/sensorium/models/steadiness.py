"""Whether a model's runs take the same time whatever its inputs hold, told from its header."""

from sensorium.models.artifact import Artifact
from sensorium.models.backends.base import LoadOptions, ModelSpec
from sensorium.models.headers.reading import read_header

STEADY = frozenset(
    (
        *("Conv", "ConvInteger", "ConvTranspose", "Gemm", "MatMul", "MatMulInteger"),
        *("QLinearConv", "QLinearMatMul"),
        *("Abs", "Add", "And", "Ceil", "Clip", "Div", "Elu", "Equal", "Erf", "Exp", "Floor"),
        *("Gelu", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "LeakyRelu", "Less"),
        *("LessOrEqual", "Log", "Max", "Mean", "Min", "Mish", "Mod", "Mul", "Neg", "Not", "Or"),
        *("PRelu", "Pow", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Softplus"),
        *("Softsign", "Sqrt", "Sub", "Sum", "Tanh", "ThresholdedRelu", "Where", "Xor"),
        *("ArgMax", "ArgMin", "AveragePool", "BatchNormalization", "GlobalAveragePool"),
        *("GlobalMaxPool", "InstanceNormalization", "LayerNormalization", "LogSoftmax"),
        *("LpNormalization", "MaxPool", "Softmax"),
        *("Cast", "Concat", "Constant", "DequantizeLinear", "Dropout", "DynamicQuantizeLinear"),
        *("Flatten", "Gather", "GatherElements", "Identity", "QuantizeLinear", "Transpose"),
    )
)
"""Operators of ONNX that take as long, and give as much, for any inputs of the same shapes.

`Loop`, `If` and `Scan` do not, nor does what makes a shape of values: `Range`, `Expand`, `Tile`,
`Reshape` and the like, after which a few bytes may become gigabytes.
"""


def is_steady(artifact: Artifact, spec: ModelSpec, options: LoadOptions) -> bool:
    """Whether the number of rows alone tells how long a run takes, on the thread that calls it."""
    on_thread = spec.providers == ["cpu"] and options.threads <= 1
    fixed = all(
        each.datatype != "BYTES" and each.shape and -1 not in each.shape[1:] for each in spec.inputs
    )
    if artifact.format != "onnx" or not on_thread or not fixed:
        return False
    operators = read_header(artifact, trusted=options.trusted).operators
    return bool(operators) and STEADY.issuperset(operators)
