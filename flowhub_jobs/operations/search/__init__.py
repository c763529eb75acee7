"""Search of the catalogs, and verdicts on models: search, details, variants.

search             a search by words and filters · facets: the number of models for each filter
index_update       opens the search index, and builds it when the catalogs have changed
model_details      details of one model, for `show`
variants           the variants that a reference can mean, each with its verdict · variant_ranking: their order
machine            the memory of the machine, and the options installed on it
model_needs        the memory that a variant needs · headers: metadata from the header of a file
"""
