"""What app.py builds its page from: parts that need gradio, the endpoints, and the texts and styles beside them."""
