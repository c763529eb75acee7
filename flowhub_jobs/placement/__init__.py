"""Links to installed models in the folders of other programs.

place_and_unplace  places and unplaces models: the functions for other packages
recovery           finishes or undoes the placements of killed processes · retry_times: when to try again
context            the store, the library, the rows and the lock that the modules below share

apps/              the layouts of the programs; each makes a plan · app: the type of a layout
values             an installed model as layouts need it, and the plan: frozen values
installed_for_placement   makes that value · gguf_files: GGUF models among its files · find_hub_commit: asks the Hub

conflicts          compares a plan with the files that exist
carry_out_plan, remove   carries out a plan; removes a placement
staging            makes files under temporary names, and renames them without replacing any

rows               reads the table · row_writes: writes it
entries            the files of a row, compared with the disk · condition: the condition of a whole placement
"""
