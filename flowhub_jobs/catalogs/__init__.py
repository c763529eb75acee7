"""Catalogs of models: their schema, where they are loaded from, the search index, and references to their models.

schema              the catalog as pydantic models, read strictly · field_types: the types of its fields
validation_rules    rules that span several fields · validation_errors: a fault with its entry, field and reason
parsing             reads the bytes of a catalog: JSON or YAML
inspection          lists every fault and warning of a catalog

load                loads a catalog from a file or a URL · loaded: the loaded catalog
remote              loads a catalog from its URL, or from the cached copy · cached_copy_paths: the files of that copy
imported_catalogs   the files of imported catalogs · import_record: the source and the counts of an import
importers/          converts catalogs of other formats

resolve             resolves `model@option` or a URL to a model and an option · suggest: names similar to a misspelt one
search_index        builds the search index, a SQLite file with FTS5
search_reader       searches the index · search_query: the words · search_filters: the filters

This module imports nothing, so that `flowhub --help` does not load pydantic: import the modules themselves.
"""
