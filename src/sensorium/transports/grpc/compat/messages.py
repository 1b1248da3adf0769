"""The messages of `inference.GRPCInferenceService`, made from a table.

The names and numbers are KServe's and Triton's (grpc_service.proto, model_config.proto); of
Triton's model configuration, what its clients read.
"""

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

PACKAGE = "inference"
FILE = "grpc_service.proto"
DATATYPES = (
    "INVALID",
    "BOOL",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "FP16",
    "FP32",
    "FP64",
    "STRING",
    "BF16",
)
"""The numbers of a configuration's data types."""
NAME = "name=1:string version=2:string"
TENSOR = "name=1:string datatype=2:string shape=3:int64*"
CONTENTS = "parameters=4:InferParameter{} contents=5:InferTensorContents"
INFER = "model_name=1:string model_version=2:string id=3:string parameters=4:InferParameter{}"
REPOSITORY = "repository_name=1:string model_name=2:string"
MESSAGES = {
    "ServerLiveRequest": "",
    "ServerLiveResponse": "live=1:bool",
    "ServerReadyRequest": "",
    "ServerReadyResponse": "ready=1:bool",
    "ModelReadyRequest": NAME,
    "ModelReadyResponse": "ready=1:bool",
    "ServerMetadataRequest": "",
    "ServerMetadataResponse": f"{NAME} extensions=3:string*",
    "ModelMetadataRequest": NAME,
    "ModelMetadataResponse.TensorMetadata": TENSOR,
    "ModelMetadataResponse": "name=1:string versions=2:string* platform=3:string "
    "inputs=4:ModelMetadataResponse.TensorMetadata* "
    "outputs=5:ModelMetadataResponse.TensorMetadata*",
    "InferParameter": "bool_param=1:bool/parameter_choice int64_param=2:int64/parameter_choice "
    "string_param=3:string/parameter_choice double_param=4:double/parameter_choice "
    "uint64_param=5:uint64/parameter_choice",
    "InferTensorContents": "bool_contents=1:bool* int_contents=2:int32* int64_contents=3:int64* "
    "uint_contents=4:uint32* uint64_contents=5:uint64* fp32_contents=6:float* "
    "fp64_contents=7:double* bytes_contents=8:bytes*",
    "ModelInferRequest.InferInputTensor": f"{TENSOR} {CONTENTS}",
    "ModelInferRequest.InferRequestedOutputTensor": "name=1:string parameters=2:InferParameter{}",
    "ModelInferRequest": f"{INFER} inputs=5:ModelInferRequest.InferInputTensor* "
    "outputs=6:ModelInferRequest.InferRequestedOutputTensor* raw_input_contents=7:bytes*",
    "ModelInferResponse.InferOutputTensor": f"{TENSOR} {CONTENTS}",
    "ModelInferResponse": f"{INFER} outputs=5:ModelInferResponse.InferOutputTensor* "
    "raw_output_contents=6:bytes*",
    "ModelStreamInferResponse": "error_message=1:string infer_response=2:ModelInferResponse",
    "ModelConfigRequest": NAME,
    "ModelInput": "name=1:string data_type=2:DataType dims=4:int64*",
    "ModelOutput": "name=1:string data_type=2:DataType dims=3:int64*",
    "ModelConfig": "name=1:string platform=2:string max_batch_size=4:int32 input=5:ModelInput* "
    "output=6:ModelOutput* backend=17:string",
    "ModelConfigResponse": "config=1:ModelConfig",
    "ModelStatisticsRequest": NAME,
    "ModelStatistics": NAME,
    "ModelStatisticsResponse": "model_stats=1:ModelStatistics*",
    "RepositoryIndexRequest": "repository_name=1:string ready=2:bool",
    "RepositoryIndexResponse.ModelIndex": f"{NAME} state=3:string reason=4:string",
    "RepositoryIndexResponse": "models=1:RepositoryIndexResponse.ModelIndex*",
    "ModelRepositoryParameter": "bool_param=1:bool/parameter_choice "
    "int64_param=2:int64/parameter_choice string_param=3:string/parameter_choice "
    "bytes_param=4:bytes/parameter_choice",
    "RepositoryModelLoadRequest": f"{REPOSITORY} parameters=3:ModelRepositoryParameter{{}}",
    "RepositoryModelLoadResponse": "",
    "RepositoryModelUnloadRequest": f"{REPOSITORY} parameters=3:ModelRepositoryParameter{{}}",
    "RepositoryModelUnloadResponse": "",
}
"""Each message's fields: `name=number:type`, then `*` if repeated, `{}` if a map from text, or
`/` and the choice that it is one of."""
SCALARS = ("bool", "int32", "int64", "uint32", "uint64", "float", "double", "string", "bytes")
METHODS = (
    "ServerLive",
    "ServerReady",
    "ModelReady",
    "ServerMetadata",
    "ModelMetadata",
    "ModelInfer",
    "ModelStreamInfer",
    "ModelConfig",
    "ModelStatistics",
    "RepositoryIndex",
    "RepositoryModelLoad",
    "RepositoryModelUnload",
)
STREAMED = "ModelStreamInfer"


def service_file() -> FileDescriptorProto:
    """The whole file, for a descriptor pool and for reflection."""
    file = FileDescriptorProto(name=FILE, package=PACKAGE, syntax="proto3")
    kinds = file.enum_type.add(name="DataType")
    for number, name in enumerate(DATATYPES):
        kinds.value.add(name=f"TYPE_{name}", number=number)
    made: dict[str, DescriptorProto] = {}
    for name in sorted(MESSAGES, key=lambda name: name.count(".")):
        outer, _, inner = name.rpartition(".")
        add = made[outer].nested_type.add if outer else file.message_type.add
        made[name] = add(name=inner)
    for name, fields in MESSAGES.items():
        for field in fields.split():
            _add_field(made[name], name, field)
    service = file.service.add(name="GRPCInferenceService")
    for method in METHODS:
        request, response, streamed = _types(method)
        service.method.add(
            name=method,
            input_type=f".{PACKAGE}.{request}",
            output_type=f".{PACKAGE}.{response}",
            client_streaming=streamed,
            server_streaming=streamed,
        )
    return file


def message_classes() -> dict[str, Any]:
    """The class of each message, by its name."""
    pool = DescriptorPool()
    pool.Add(service_file())
    return {
        name: GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in MESSAGES
    }


def methods() -> Iterator[tuple[str, str, str, bool]]:
    """Each method's path, the names of its messages, and whether both are streams."""
    for method in METHODS:
        yield f"/{PACKAGE}.GRPCInferenceService/{method}", *_types(method)


def _types(method: str) -> tuple[str, str, bool]:
    request = "ModelInfer" if method == STREAMED else method
    return f"{request}Request", f"{method}Response", method == STREAMED


def _add_field(message: DescriptorProto, owner: str, text: str) -> None:
    name, _, rest = text.partition("=")
    number, _, kind = rest.partition(":")
    kind, _, choice = kind.partition("/")
    bare = kind.rstrip("*{}")
    many = kind != bare
    field = message.field.add(
        name=name,
        number=int(number),
        label=FieldDescriptorProto.LABEL_REPEATED if many else FieldDescriptorProto.LABEL_OPTIONAL,
    )
    if kind.endswith("{}"):
        entry = "".join(word.capitalize() for word in name.split("_")) + "Entry"
        made = message.nested_type.add(name=entry)
        made.options.map_entry = True
        _add_field(made, "", "key=1:string")
        _add_field(made, "", f"value=2:{bare}")
        bare = f"{owner}.{entry}"
    if choice:
        if not message.oneof_decl:
            message.oneof_decl.add(name=choice)
        field.oneof_index = 0
    if bare in SCALARS:
        field.type = FieldDescriptorProto.Type.Value(f"TYPE_{bare.upper()}")
    else:
        enum = bare == "DataType"
        field.type = FieldDescriptorProto.TYPE_ENUM if enum else FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = f".{PACKAGE}.{bare}"
