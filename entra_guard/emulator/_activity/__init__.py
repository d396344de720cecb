"""The activity record: each exchange described for people, without secrets."""
