"""Other formats: ONNX, the page for a browser, and the original code's weights. Each conversion is verified against the model."""
