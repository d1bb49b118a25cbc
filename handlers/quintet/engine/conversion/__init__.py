"""How the five networks are made, once, by ``make models``: the only code that needs onnx, onnxruntime and pip."""
