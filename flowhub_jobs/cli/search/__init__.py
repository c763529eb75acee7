"""Verbs of the catalogs and of this machine.

search             searches the catalogs · search_view: the screen
show               one model and its variants · show_view: the screen
fits               whether a model runs on a machine · fits_view: the screen
device             memory, GPUs and disk of this machine · device_view: the screen
catalog            lists, imports, updates, removes and validates catalogs · catalog_view: the screens
catalog_format_help  the text of `flowhub help catalog`
"""
