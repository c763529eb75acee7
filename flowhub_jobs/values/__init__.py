"""Plain values that every layer shares: enumerations, artifacts, jobs, digests, text that users type.

enums              enumerations: states, stages, reasons, formats
artifacts          artifacts, their files and digests, installed models
jobs               jobs, their files and events
store_settings     the stores of a node: `[stores]` in config.toml
mirror_settings    the mirrors: `[mirrors]` in config.toml
notify_settings    the command and the webhook of notifications: `[notify]` in config.toml
convert_settings   converts the values of single settings to their types
pasted_text        parses text that people type or paste: text files, tokens · sha256_text: a sha256
sqlite_url         the file of a SQLite URL
share_credential   credentials by which nodes of one database read each other's files
"""
