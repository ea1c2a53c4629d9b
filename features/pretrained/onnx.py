"""Networks as ONNX files, run on the CPU: one thread, the same numbers on every run."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from corpora.errors import UserError
from features.pretrained.packages import Packaged

_ERRORS_ONLY = 3  # of what onnxruntime prints


def session(encoder: Packaged) -> Any:
    """The first file of `encoder` as an `onnxruntime.InferenceSession`; opened once a process.

    Raises `UserError` where it is not installed, or its file is no network.
    """
    encoder.require()
    return _opened(str(encoder.paths()[0]), encoder.title())


@lru_cache(maxsize=4)
def _opened(path: str, title: str) -> Any:
    import onnxruntime
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, InvalidGraph, InvalidProtobuf

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf) as error:
        raise UserError(
            f"{title}: its file is no network that onnxruntime reads ({error}); install it again"
        ) from error
