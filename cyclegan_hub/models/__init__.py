"""Networks and the published models made of them."""
