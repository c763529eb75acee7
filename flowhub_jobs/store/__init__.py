"""The store: a folder of models, and the library, which is the index of those that flowhub installed.

layout            paths, names and identity of the store
install           the save order: stage, record the intent, rename, sync
recognize_existing  the wanted artifact in an existing file, by its digests
library           the index, with SQLAlchemy; library_fast reads it without, installed_options_fast for a search
library_check     compares the index with the files
verification_records  records for `verify`; piece_check reads the files again
file_hash         digests of whole files
partials_dir      transfers in progress, and the trash
disk_usage        bytes that a removal frees
space             free space less the reserve
links             reflink, hard link, symlink, copy
folder_scan       models in any folder, by their first bytes
app_folders       where LM Studio, Ollama and others look for models
other_apps        models in those folders; hf_cache and modelscope_cache know two layouts
export_manifest   the manifest of an export
"""
