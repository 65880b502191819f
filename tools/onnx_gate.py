"""What an ONNX file may hold before it is run: plain arithmetic of the standard, in a small graph, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import AttributeProto, ModelProto, TensorProto, checker, load_model_from_string

MOST_NODES = 500
STANDARD = {"", "ai.onnx"}
# What exports of small networks consist of. None of them reads a file, calls other code or repeats a part of the graph.
OPERATORS = """
Abs Add And ArgMax ArgMin BatchNormalization Cast CastLike Ceil Clip Concat Constant Cos Div Elu Equal Erf Exp
Expand Flatten Floor Gather GatherElements Gelu Gemm Greater GreaterOrEqual HardSigmoid HardSwish Identity
LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax MatMul Max Min Mish Mod Mul Neg Not OneHot Or Pow PRelu
Reciprocal ReduceL2 ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum Relu Reshape Round Selu Shape Sigmoid Sign
Sin Slice Softmax Softplus Softsign Split Sqrt Squeeze Sub Sum Swish Tan Tanh Transpose Unsqueeze Where Xor
"""
ALLOWED = frozenset(OPERATORS.split())


def refusal(model: bytes) -> str:
    """Why a file is not run, as a sentence; empty where nothing speaks against it.

    Looked at in this order: can it be read, whose operators does it name, does it want other files, is it valid ONNX.
    """
    try:
        found = load_model_from_string(model)
    except Exception:  # the parser's exceptions share no class
        return "This is not a whole ONNX file."
    if not found.graph.node:
        return "This is not a whole ONNX file: its graph is empty."
    if found.functions or found.training_info:
        return "It brings functions or training steps of its own; export the policy alone."
    if len(found.graph.node) > MOST_NODES:
        return f"Its graph has {len(found.graph.node)} nodes; at most {MOST_NODES} are examined."
    return refusal_of_nodes(found) or refusal_of_data(found) or refusal_of_form(found)


def refusal_of_nodes(model: ModelProto) -> str:
    for node in model.graph.node:
        if node.domain not in STANDARD:
            return f"Its operator {plain(node.domain)}.{plain(node.op_type)} is not of the standard."
        if node.op_type not in ALLOWED:
            return f"Its operator {plain(node.op_type)} is not among those that are run."
        if any(attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for attribute in node.attribute):
            return f"Its operator {plain(node.op_type)} holds a graph of its own."
    return ""


def refusal_of_data(model: ModelProto) -> str:
    if model.graph.sparse_initializer:
        return "It holds sparse weights, which are not examined."
    for tensor in tensors_of(model):
        if tensor.external_data or tensor.data_location == TensorProto.EXTERNAL:
            return "Its weights lie in another file; save them inside."
    return ""


def tensors_of(model: ModelProto) -> Iterator[TensorProto]:
    yield from model.graph.initializer
    for node in model.graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)


def refusal_of_form(model: ModelProto) -> str:
    try:
        checker.check_model(model)
    except Exception as error:
        return f"It is not valid ONNX: {plain((str(error).strip().splitlines() or ['no word why'])[0])}"
    return ""


def plain(text: str, most: int = 120) -> str:
    """A stranger's text, short and with nothing in it that a terminal obeys."""
    return "".join(sign if sign.isprintable() else "?" for sign in text[:most])
