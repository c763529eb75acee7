"""The checks of `flowhub doctor`: each tries one thing that downloads rely on, and says what to do where it fails.

run                runs all checks in order
check              the result of a check, and the conversion of an error into one
program_checks     versions, extras, the clock, the limit of open files
settings_checks    config.toml, environment variables, the Hub's token
home_checks        the home's folder and its file system
database_checks    the database and the queue of wake-ups
store_checks       the store: the steps of an installation, with a small file
network_checks     proxies and certificates; with --online the Hub and its hosts
worker_checks      workers, the service, the library, the catalog
"""
