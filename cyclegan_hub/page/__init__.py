"""The parts of the page that need gradio: panels, endpoints, texts and styles. app.py builds the page from them."""
