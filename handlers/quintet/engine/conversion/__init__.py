"""How networks are made out of ONNX files, once, by ``quintet models``: what needs onnx, onnxruntime and pip.

May import `quintet.engine`, which must not import it: the archive that is served has no conversion.
"""
