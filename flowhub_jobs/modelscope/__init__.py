"""Client of ModelScope: finds a file of known sha256 in the repository that has the same name as one of the Hub.

repository_files    lists a repository, and gives the address of a file
"""
