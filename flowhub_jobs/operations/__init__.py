"""The public door: joins the rooms, decides nothing. `public` is the Python API, `desk` what the command line asks."""
