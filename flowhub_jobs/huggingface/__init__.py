"""Client of the Hugging Face Hub: references, repositories, and the choice of files.

reference_parser     parses `hf:…` references and links to the Hub's pages
reference_value      the parsed reference, and its short form
hub_client           asks the Hub's API, with retries
repository_urls      addresses of a repository
responses            parses the Hub's JSON
file_filters         globs, and the files that a whole model needs
quants               GGUF models, their parts and quants
pick                 chooses the files for one reference
repository_variants  lists all that a repository offers
"""
