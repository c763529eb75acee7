"""The store: a folder of models, and the library, which is the index of those that flowhub installed.

layout            paths, names and identity of the store
install           installs verified files: stage, record the intent, rename, sync
recognize_existing   verifies files in the store that flowhub did not install · desktop_files: those of desktops
partials_dir      transfers in progress, and the trash
space             free space less the reserve
disk_usage        bytes that a removal frees

library           the index, with SQLAlchemy · library_fast: without it · installed_options: the same for a search
library_check     compares the index with the files
verification_records   records for `verify` · piece_check: reads files again, and finds changed pieces
file_hash         digests of whole files
hub_origin        the repository, commit and paths that an artifact was taken from

app_folders       where LM Studio, Ollama and others look for models
other_apps        models in those folders · hf_cache, modelscope_cache: those of two layouts
folder_scan       models in any folder, by their first bytes
links             reflink, hard link, symlink, copy
export_manifest   the manifest of an export
"""
