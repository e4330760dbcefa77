"""What the page does, without gradio: models, photographs, faces, sentences."""
