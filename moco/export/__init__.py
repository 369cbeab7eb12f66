"""Networks as ONNX files: one template, int8 as real nodes, calibration."""
