"""Models: what there is, what is loaded, and tensors through them."""
