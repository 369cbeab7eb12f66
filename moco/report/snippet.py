"""The five lines that run the delivered file with ONNX Runtime, the same on the page and the card."""

from __future__ import annotations

from moco.run_folder.manifest import Manifest


def onnxruntime_snippet(manifest: Manifest, file: str) -> str:
    """Python that loads `file` and labels a batch of images; it runs as it stands, on a black image."""
    shape = manifest.network.input_shape
    size = "*session.get_inputs()[0].shape[1:]" if shape is None else ", ".join(map(str, shape))
    normalize = _normalisation(manifest)
    before = "" if normalize is None else f"mean, std = {normalize}\n"
    feed = "images" if normalize is None else "((images - mean) / std).astype(np.float32)"
    scale = "scaled as in training" if normalize is None else "RGB in 0..1"
    return (
        "import numpy as np, onnxruntime\n"
        f'session = onnxruntime.InferenceSession("{file}")\n'
        f"{before}"
        f"images = np.zeros((1, {size}), np.float32)  # your images: (n, channels, height, width), {scale}\n"
        f'labels = session.run(["logits"], {{"input": {feed}}})[0].argmax(axis=1)\n'
    )


def _normalisation(manifest: Manifest) -> str | None:
    if manifest.normalization is None:
        return None
    mean, std = (list(numbers) for numbers in manifest.normalization)
    return f"np.reshape([{mean}, {std}], (2, 1, {len(mean)}, 1, 1))"
