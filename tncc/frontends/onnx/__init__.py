"""ONNX models: reading and cleaning them, importing them into the nn level, and cutting out what the host computes."""

from tncc.frontends.onnx.host import split_host, visible
from tncc.frontends.onnx.load import OnnxModel, load

__all__ = ["OnnxModel", "load", "split_host", "visible"]
