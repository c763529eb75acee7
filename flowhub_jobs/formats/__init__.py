"""Parsers for the headers of model files. Pure: first bytes in, values out; no network.

metadata             the metadata of a model, whatever the format of its files
read_metadata        reads the metadata of a model on the disk
gguf                 the metadata of a GGUF file · gguf_version: its magic, byte order and version
gguf_cursor          a cursor over the first bytes of a GGUF file
gguf_tensors         the least size of a GGUF file, from its list of tensors
safetensors          the header of a safetensors file
read_safetensors_tensor_names   the names of the tensors in a safetensors file
transformers_config  the config.json next to safetensors and MLX weights
strict_json          parses JSON, and refuses ambiguous JSON
declared_size        the least size of a model file by its own header, to detect a truncated file
"""
