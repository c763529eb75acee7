"""The shapes of catalogs that flowhub reads, by the word for each, with the name that people know it by."""

TITLES = {"lmstudio": "LM Studio", "gpt4all": "GPT4All", "localai": "LocalAI", "flowhub": "flowhub"}
