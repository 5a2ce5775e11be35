"""The part of Caffe's protobuf schema that is read: a descriptor made at run time, without Caffe."""

from __future__ import annotations

import functools
from typing import Any

from dropkit.core.check import try_import

__all__ = ["net_class"]

_PACKAGE = "caffe"
_EXTRA = 10_000
"""Layer types of forks are numbered from here; Caffe's own end at 39."""

# Numbers and defaults are those of Caffe's caffe.proto (scale_train: of its forks, OpenCV's among them), so
# that .caffemodel files are read by the same messages. Every field that bears on what a layer computes is
# here; what else a file says (learning rates, fillers, data sources) is passed over.
# name:number:type, then * where it is repeated and =VALUE for a default.
_MESSAGES = {
    "BlobShape": "dim:1:int64*",
    "BlobProto": """
        num:1:int32 channels:2:int32 height:3:int32 width:4:int32 data:5:float* shape:7:BlobShape
        double_data:8:double*
    """,
    "NetStateRule": "phase:1:Phase min_level:2:int32 max_level:3:int32 stage:4:string* not_stage:5:string*",
    "ParamSpec": "name:1:string",
    "InputParameter": "shape:1:BlobShape*",
    "TransformationParameter": "crop_size:3:uint32",
    "DataParameter": "batch_size:4:uint32 crop_size:5:uint32",
    "MemoryDataParameter": "batch_size:1:uint32 channels:2:uint32 height:3:uint32 width:4:uint32",
    "BatchNormParameter": "use_global_stats:1:bool moving_average_fraction:2:float=0.999 eps:3:float=1e-5",
    "BiasParameter": "axis:1:int32=1 num_axes:2:int32=1",
    "ConcatParameter": "concat_dim:1:uint32=1 axis:2:int32=1",
    "ConvolutionParameter": """
        num_output:1:uint32 bias_term:2:bool=true pad:3:uint32* kernel_size:4:uint32* group:5:uint32=1
        stride:6:uint32* pad_h:9:uint32 pad_w:10:uint32 kernel_h:11:uint32 kernel_w:12:uint32
        stride_h:13:uint32 stride_w:14:uint32 axis:16:int32=1 dilation:18:uint32*
    """,
    "DropoutParameter": "dropout_ratio:1:float=0.5 scale_train:2:bool=true",
    "EltwiseParameter": "operation:1:EltwiseOp=SUM coeff:2:float*",
    "ELUParameter": "alpha:1:float=1",
    "ExpParameter": "base:1:float=-1 scale:2:float=1 shift:3:float=0",
    "FlattenParameter": "axis:1:int32=1 end_axis:2:int32=-1",
    "InnerProductParameter": """
        num_output:1:uint32 bias_term:2:bool=true axis:5:int32=1 transpose:6:bool=false
    """,
    "LogParameter": "base:1:float=-1 scale:2:float=1 shift:3:float=0",
    "LRNParameter": """
        local_size:1:uint32=5 alpha:2:float=1 beta:3:float=0.75 norm_region:4:NormRegion k:5:float=1
    """,
    "PoolingParameter": """
        pool:1:PoolMethod kernel_size:2:uint32 stride:3:uint32=1 pad:4:uint32 kernel_h:5:uint32
        kernel_w:6:uint32 stride_h:7:uint32 stride_w:8:uint32 pad_h:9:uint32 pad_w:10:uint32
        global_pooling:12:bool=false round_mode:13:RoundMode
    """,
    "PowerParameter": "power:1:float=1 scale:2:float=1 shift:3:float=0",
    "PReLUParameter": "channel_shared:2:bool=false",
    "ReLUParameter": "negative_slope:1:float=0",
    "ReshapeParameter": "shape:1:BlobShape axis:2:int32=0 num_axes:3:int32=-1",
    "ScaleParameter": "axis:1:int32=1 num_axes:2:int32=1 bias_term:4:bool=false",
    "SliceParameter": "slice_dim:1:uint32=1 slice_point:2:uint32* axis:3:int32=1",
    "SoftmaxParameter": "axis:2:int32=1",
    "V0LayerParameter": """
        name:1:string type:2:string num_output:3:uint32 biasterm:4:bool=true pad:7:uint32
        kernelsize:8:uint32 group:9:uint32=1 stride:10:uint32=1 pool:11:PoolMethod
        dropout_ratio:12:float=0.5 local_size:13:uint32=5 alpha:14:float=1 beta:15:float=0.75
        batchsize:19:uint32 cropsize:20:uint32 k:22:float=1 blobs:50:BlobProto* concat_dim:65:uint32=1
    """,
    "V1LayerParameter": """
        layer:1:V0LayerParameter bottom:2:string* top:3:string* name:4:string type:5:LayerType
        blobs:6:BlobProto* concat_param:9:ConcatParameter convolution_param:10:ConvolutionParameter
        data_param:11:DataParameter dropout_param:12:DropoutParameter
        inner_product_param:17:InnerProductParameter lrn_param:18:LRNParameter
        pooling_param:19:PoolingParameter power_param:21:PowerParameter
        memory_data_param:22:MemoryDataParameter eltwise_param:24:EltwiseParameter
        relu_param:30:ReLUParameter slice_param:31:SliceParameter include:32:NetStateRule*
        exclude:33:NetStateRule* transform_param:36:TransformationParameter
        softmax_param:39:SoftmaxParameter exp_param:41:ExpParameter param:1001:string*
    """,
    "LayerParameter": """
        name:1:string type:2:string bottom:3:string* top:4:string* param:6:ParamSpec* blobs:7:BlobProto*
        include:8:NetStateRule* exclude:9:NetStateRule* transform_param:100:TransformationParameter
        concat_param:104:ConcatParameter convolution_param:106:ConvolutionParameter
        data_param:107:DataParameter dropout_param:108:DropoutParameter eltwise_param:110:EltwiseParameter
        exp_param:111:ExpParameter inner_product_param:117:InnerProductParameter lrn_param:118:LRNParameter
        memory_data_param:119:MemoryDataParameter pooling_param:121:PoolingParameter
        power_param:122:PowerParameter relu_param:123:ReLUParameter softmax_param:125:SoftmaxParameter
        slice_param:126:SliceParameter prelu_param:131:PReLUParameter reshape_param:133:ReshapeParameter
        log_param:134:LogParameter
        flatten_param:135:FlattenParameter batch_norm_param:139:BatchNormParameter
        elu_param:140:ELUParameter bias_param:141:BiasParameter scale_param:142:ScaleParameter
        input_param:143:InputParameter
    """,
    "NetParameter": """
        name:1:string layers:2:V1LayerParameter* input:3:string* input_dim:4:int32*
        input_shape:8:BlobShape* layer:100:LayerParameter*
    """,
}
_ENUMS = {
    "Phase": "TRAIN TEST",
    "EltwiseOp": "PROD SUM MAX",
    "NormRegion": "ACROSS_CHANNELS WITHIN_CHANNEL",
    "PoolMethod": "MAX AVE STOCHASTIC",
    "RoundMode": "CEIL FLOOR",
    "LayerType": """
        NONE ACCURACY BNLL CONCAT CONVOLUTION DATA DROPOUT EUCLIDEAN_LOSS FLATTEN HDF5_DATA HDF5_OUTPUT
        IM2COL IMAGE_DATA INFOGAIN_LOSS INNER_PRODUCT LRN MULTINOMIAL_LOGISTIC_LOSS POOLING RELU SIGMOID
        SOFTMAX SOFTMAX_LOSS SPLIT TANH WINDOW_DATA ELTWISE POWER SIGMOID_CROSS_ENTROPY_LOSS HINGE_LOSS
        MEMORY_DATA ARGMAX THRESHOLD DUMMY_DATA SLICE MVN ABSVAL SILENCE CONTRASTIVE_LOSS EXP
        DECONVOLUTION
    """,
}


@functools.lru_cache(maxsize=8)
def net_class(more_types: tuple[str, ...] = ()) -> Any:
    """Return the message class of a whole net, `NetParameter`.

    Args:
        more_types: layer types of a fork, as its files in the old V1 form write them.

    >>> net_class()(name="AlexNet").name
    'AlexNet'
    """
    try_import("google.protobuf", extra="migrate")
    from google.protobuf import descriptor_pool, message_factory
    from google.protobuf.descriptor_pb2 import FileDescriptorProto

    file = FileDescriptorProto(name="caffe.proto", package=_PACKAGE)
    for name, words in _ENUMS.items():
        _add_enum(file, name, words.split(), more_types if name == "LayerType" else ())
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field in fields.split():
            _add_field(message, field)
    # A pool of its own: Caffe's or OpenCV's schema may be loaded in this process under the same names.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.NetParameter"))


def _add_enum(file: Any, name: str, words: list[str], more: tuple[str, ...]) -> None:
    # The words of an enum belong to what surrounds it, and two enums have MAX.
    enum = file.message_type.add(name=name).enum_type.add(name="Word")
    new = [word for word in more if word not in words]
    for number, word in [*enumerate(words), *enumerate(new, start=_EXTRA)]:
        enum.value.add(name=word, number=number)


def _add_field(message: Any, text: str) -> None:
    text, _, default = text.partition("=")
    name, number, kind = text.split(":")
    field = message.field.add(name=name, number=int(number))
    field.label = field.LABEL_REPEATED if kind.endswith("*") else field.LABEL_OPTIONAL
    kind = kind.rstrip("*")
    if kind in _ENUMS:
        field.type, field.type_name = field.TYPE_ENUM, f".{_PACKAGE}.{kind}.Word"
    elif kind in _MESSAGES:
        field.type, field.type_name = field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    else:
        field.type = getattr(field, f"TYPE_{kind.upper()}")
        if field.label == field.LABEL_REPEATED and kind in ("float", "double", "int64"):
            field.options.packed = True
    if default:
        field.default_value = default
