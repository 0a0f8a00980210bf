"""The small models that hear with the gateway are loaded here, in the same way: `vad` and `turn_model` run them."""

from pathlib import Path

import onnxruntime


def load(path: Path, what: str, *, plans_memory: bool = True) -> onnxruntime.InferenceSession:
    """Load a model for one thread.

    More would only compete: with the event loop, and with Whisper, which needs the other cores in the very same moment.

    Args:
        path: the model's file.
        what: it is, for whoever has to fetch it.
        plans_memory: whether all its memory is planned at once. It takes more, and not every model is faster by it.

    Raises:
        OSError: there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no {what} at {path}: `parley models pull` fetches it")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = plans_memory
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
