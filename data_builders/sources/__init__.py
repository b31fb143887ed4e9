"""One file per source. Each shows a real example row, says which data sets it can fill (`KINDS`)
and when (`PHASE`)."""
