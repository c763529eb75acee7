"""What can be had: the catalog's wire shape (`schema`), where it comes from (`load`, `remote`), and how a reference
becomes an artifact (`resolve`, `nearest`). Import the modules themselves: this page imports nothing, so that
`flowhub --help` does not pay for pydantic.
"""
