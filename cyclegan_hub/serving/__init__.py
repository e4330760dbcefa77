"""What the page does, without gradio: models, photographs, results, texts."""
