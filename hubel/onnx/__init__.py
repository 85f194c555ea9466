"""Networks as ONNX files: how their steps are written (writer, rules), and how a file answers alone (model)."""
