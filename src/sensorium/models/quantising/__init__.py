"""GGUF files made of safetensors: a language model in fewer bits, for llama.cpp."""
