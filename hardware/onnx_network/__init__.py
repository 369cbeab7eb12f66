"""An ONNX file as a torch module: what a file's operators are in torch, and how its graph becomes a module."""
