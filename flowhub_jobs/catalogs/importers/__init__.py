"""Importers of catalogs in other formats. Each converts entries into models of flowhub's schema (`catalogs.schema`).

An entry that an importer cannot convert is counted with its reason.

detect              detects the format of a catalog, and calls its importer
lmstudio, gpt4all, localai   the importers of LM Studio's, GPT4All's and LocalAI's catalogs
native              the importer of flowhub's own format
files               the files of an entry: address, name, digest
field_values        parsers of single values: names, sizes, digests, labels
import_result       the result: the models, and the counts of skipped entries
yaml_events         parses YAML from its events, with limits
"""
