"""Links to installed models in the folders of other programs.

place_and_unplace  place, remove, settle: what the other packages call
apps          the layouts; each makes a plan of links and small files (values)
installed_for_placement  an installed model as layouts need it
conflicts     compares a plan with the files that are there
make, remove  carry out a plan, and take it back
staging       files under temporary names, renames that replace nothing
recovery      what killed processes have begun
rows          the table; row_writes writes it
entries       the files of a row; condition compares a whole row with the disk
"""
