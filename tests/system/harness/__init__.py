"""What the system tests share: the processes under test, clients of them, and oracles that know what has to come out."""
